/** Mounting and unmounting. A mount appears at its target whole, with its final flags, or not at all. */
import { closeSync, constants, readSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { closeFile } from "./files.ts";
import { abandonable } from "./lane.ts";
import {
  cloneOpenTree,
  fsconfigCreate,
  fsconfigFlag,
  fsconfigSource,
  fsconfigString,
  fsmount,
  fsopen,
  MOUNT_ATTR,
  mountSetattr,
  moveMount,
  openTreeClone,
  umount2,
} from "./mount-calls.ts";
import { splitFlags } from "./mount-options.ts";
import { O_PATH, openWithoutSymlinks } from "./paths.ts";
import { isSystemError, SystemError } from "./system-error.ts";

export interface FilesystemMount {
  /** Block device, as `/dev/loop3`. */
  readonly device: string;
  readonly fsType: string;
  /** As mount(8) takes them. */
  readonly flags?: readonly string[];
  readonly readonly?: boolean;
  /** Gives the wait up; a mount that comes about nevertheless is taken down again and never gets to the target. */
  readonly signal?: AbortSignal | undefined;
}

/** Told of a mount that has just got its place, by a descriptor that is open until this returns. */
export type Attached = (fd: number) => void;

/** A mount that nobody sees: it goes with the last of its descriptors, so at the latest with this process. */
export interface DetachedMount {
  readonly fd: number;
  /** For paths below it, in this process only. */
  readonly path: string;
  close(): Promise<void>;
  /** Instead of `close`, once it has a place where it stays: nothing is unmounted then, so nothing is waited for. */
  attached(): void;
}

/**
 * Mounts a file system nowhere. ENODEV: the kernel lacks this file system. EINVAL: it refuses a flag or the content,
 * EUCLEAN: damaged; the message holds what the file system said.
 */
export async function mountDetached(options: FilesystemMount): Promise<DetachedMount> {
  const work = createMount(options);
  try {
    const fd = await abandonable(work, options.signal);
    let open = true;
    const close = async () => {
      if (open) await closeFile(fd);
      open = false;
    };
    const attached = () => {
      if (open) closeSync(fd);
      open = false;
    };
    return { fd, path: `/proc/self/fd/${fd}`, close, attached };
  } catch (error) {
    work.then(closeFile).catch(() => undefined);
    throw error;
  }
}

/** Mounts it at `target`, an existing directory without symlinks in its path. Errors as `mountDetached`. */
export async function mountFilesystem(
  options: FilesystemMount & { readonly target: string; readonly attached?: Attached },
): Promise<void> {
  const target = await openWithoutSymlinks(options.target, constants.O_DIRECTORY | O_PATH);
  try {
    const mount = await mountDetached(options);
    try {
      options.signal?.throwIfAborted();
      moveMount(mount.fd, target, options.target);
      options.attached?.(mount.fd);
      mount.attached();
    } finally {
      await mount.close();
    }
  } finally {
    closeSync(target);
  }
}

async function createMount(options: FilesystemMount): Promise<number> {
  const { set, filesystem } = splitFlags(options.flags ?? []);
  const readonly = (options.readonly ?? false) || (set & MOUNT_ATTR.ro) !== 0;
  const context = await fsopen(options.fsType);
  try {
    fsconfigSource(context, options.device);
    if (readonly) fsconfigFlag(context, "ro");
    for (const [key, value] of filesystem) {
      if (value === undefined) fsconfigFlag(context, key);
      else await fsconfigString(context, key, value);
    }
    const doing = `mount ${options.fsType} on ${options.device}`;
    await fsconfigCreate(context, { syscall: "mount", doing, path: options.device });
    return fsmount(context, set | (readonly ? MOUNT_ATTR.ro : 0));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const detail = contextLog(context);
    const doing = error.message.slice(0, error.message.indexOf(": "));
    throw new SystemError(error.errno, error.syscall, { doing, path: options.device, detail });
  } finally {
    closeSync(context);
  }
}

/** What the file system wrote about the attempt: lines such as `e ext4: Unknown parameter 'foo'`. */
function contextLog(context: number): string {
  const lines: string[] = [];
  const buffer = Buffer.alloc(4096);
  for (let i = 0; i < 16; i++) {
    try {
      const bytes = readSync(context, buffer);
      if (bytes === 0) break;
      lines.push(
        buffer
          .toString("utf8", 0, bytes)
          .trim()
          .replace(/^[a-z] /, ""),
      );
    } catch {
      break;
    }
  }
  return lines.join("; ");
}

export interface BindOptions {
  /** A directory, a file or a device node. Only its own mount is taken, not those below it. */
  readonly source: string;
  /** A descriptor of the source (O_PATH), which stays the caller's; absent: it is looked up. */
  readonly from?: number;
  /** An existing directory, or file where the source is one, without symlinks in its path. */
  readonly target: string;
  /** A descriptor of the target (O_PATH), which stays the caller's; absent: it is opened. */
  readonly at?: number;
  readonly readonly?: boolean;
  /** Only flags of a mount (`nosuid`, `noexec`, `noatime` ...): those of a file system are EINVAL. */
  readonly flags?: readonly string[];
  readonly attached?: Attached;
}

/** Bind mount that is read-only from its first instant if it shall be. */
export async function bind(options: BindOptions): Promise<void> {
  const { set, clear, filesystem } = splitFlags(options.flags ?? []);
  const [foreign] = filesystem;
  if (foreign) {
    const doing = `mount flag ${foreign.join("=")}`;
    throw new SystemError(22, "mount_setattr", { doing, detail: "belongs to a file system, not to a bind mount" });
  }
  const attributes = set | (options.readonly ? MOUNT_ATTR.ro : 0);
  const target = options.at ?? (await openWithoutSymlinks(options.target, O_PATH));
  try {
    const { source, from } = options;
    const tree = from === undefined ? await openTreeClone(source) : cloneOpenTree(from, source);
    try {
      // A copy of a shared mount is its peer: what is mounted below one would appear below the other, as a pod's own mount
      // inside its volume in the pool's folder.
      mountSetattr(tree, attributes, clear);
      moveMount(tree, target, options.target);
      options.attached?.(tree);
    } finally {
      closeSync(tree); // the source's own mount keeps the file system, so nothing is unmounted here
    }
  } finally {
    if (options.at === undefined) closeSync(target);
  }
}

/**
 * A child of ours has a copy of every descriptor between its fork and its exec, also of a mount that was just attached:
 * so a mount may be busy for some milliseconds through nobody's fault. Whoever really uses it uses it longer.
 */
const forkMs = 100;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

/**
 * Takes the topmost mount off the target. False: nothing is mounted there, or there is no such path. EBUSY: in use.
 * May hang on a broken file system: `signal` gives the wait up, and the unmount may still happen later. Another mount
 * namespace may keep the file system alive after it.
 */
export async function unmount(
  target: string,
  options: { readonly lazy?: boolean; readonly signal?: AbortSignal | undefined } = {},
): Promise<boolean> {
  const flags = UMOUNT_NOFOLLOW | (options.lazy ? MNT_DETACH : 0);
  for (const start = performance.now(); ; await delay(2)) {
    try {
      await abandonable(umount2(target, flags, options.signal), options.signal);
      return true;
    } catch (error) {
      if (isSystemError(error, "EINVAL", "ENOENT")) return false;
      const patient = isSystemError(error, "EBUSY") && performance.now() - start < forkMs;
      if (!patient || options.signal?.aborted) throw error;
    }
  }
}
