/** A disk for a pool: a file system of its own on a sparse file, so that tests can fill it, fail it and throw it away. */
import { mkdirSync, mkdtempSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "./run.ts";
import type { Scratch } from "./scratch.ts";

export type DiskKind = "xfs" | "btrfs" | "ext4";

export interface PoolDisk {
  /** Where it is mounted. */
  readonly path: string;
  /** The sparse file below it. */
  readonly image: string;
  /** Unmounts it, as an operator who took the disk away; fails while something on it is open. May be called twice. */
  unmount(): Promise<void>;
  /** Mounts it again. May be called twice. */
  mount(options?: string): Promise<void>;
}

const gib = 1024 ** 3;

/**
 * Makes the file system (xfs and btrfs with reflinks, ext4 without) and mounts it; both end with the scratch folder.
 * `under`: where its file lies; absent: in the scratch folder itself.
 */
export async function makePoolDisk(
  scratch: Scratch,
  kind: DiskKind,
  options: { readonly bytes?: number; readonly under?: string } = {},
): Promise<PoolDisk> {
  const folder = mkdtempSync(join(options.under ?? scratch.path, "disk-"));
  const image = join(folder, "disk.raw");
  const path = join(folder, "pool");
  mkdirSync(path);
  writeFileSync(image, "");
  truncateSync(image, options.bytes ?? 8 * gib);
  await run(`mkfs.${kind}`, [...makers[kind], image]);
  return mountDisk(scratch, image, path);
}

/** Mounts a file system that there is already, as a copy of a disk; ends with the scratch folder. */
export async function mountDisk(scratch: Scratch, image: string, path: string): Promise<PoolDisk> {
  let mounted = false;
  const disk: PoolDisk = {
    path,
    image,
    async mount(flags = "noatime") {
      if (mounted) return;
      // mount(8) attaches the file with autoclear: the unmount frees the device too.
      await run("mount", ["-o", `loop,${flags}`, image, path]);
      mounted = true;
    },
    async unmount() {
      if (!mounted) return;
      for (let tries = 0; ; tries += 1) {
        try {
          await run("umount", [path]);
          mounted = false;
          return;
        } catch (error) {
          // A device that is being let go keeps its file open for a moment.
          if (tries === 40) throw error;
          await sleep(50);
        }
      }
    },
  };
  await disk.mount();
  scratch.later(() => disk.unmount());
  return disk;
}

const makers: Record<DiskKind, readonly string[]> = {
  xfs: ["-q", "-m", "reflink=1"],
  btrfs: ["-q"],
  ext4: ["-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1"],
};
