/**
 * The floor: the steps of one volume's life with nothing around them. The same system calls and the same mkfs as the
 * driver's, on the same pool's file system, but no gRPC, no names, no records, no promises of space, no locks and
 * nothing made durable.
 */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { mkdir, rmdir, stat, truncate, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { filesystem } from "../../src/host/filesystems/filesystem.ts";
import { attachLoop, detachLoop } from "../../src/host/loop.ts";
import { bind, mountFilesystem, unmount } from "../../src/host/mounts.ts";
import { plainRun } from "./plain-run.ts";

/** Where volumes lie, and where they are mounted. */
export interface FloorPlace {
  readonly pool: string;
  readonly mounts: string;
}

export async function directoryLife(place: FloorPlace, name: string): Promise<void> {
  const data = join(place.pool, name);
  const { staging, target } = paths(place, name);
  mkdirSync(data);
  mkdirSync(staging);
  await bind({ source: data, target: staging });
  await mkdir(target);
  await bind({ source: staging, target });
  await unmount(target);
  await rmdir(target);
  await unmount(staging);
  await rmdir(staging);
  await rmdir(data);
}

/** `asDriver`: mkfs is started as the driver starts programs (posix_spawn on another thread), not as Node does. */
export async function mountedLife(
  place: FloorPlace,
  name: string,
  fsType: string,
  size: number,
  asDriver = false,
): Promise<void> {
  const data = await sparseFile(place, name, size);
  const { staging, target } = paths(place, name);
  mkdirSync(staging);
  const fs = filesystem(fsType);
  if (!fs) throw new Error(`no file system ${fsType}`);
  const loop = await attachLoop({ path: data, autoclear: true, blockSize: 4096 });
  try {
    await fs.format(loop.device, { fresh: true, ...(asDriver ? {} : { runner: plainRun }) });
    await mountFilesystem({ device: loop.device, target: staging, fsType, flags: fs.mountFlags });
  } finally {
    loop.close();
  }
  await mkdir(target);
  await bind({ source: staging, target });
  await unmount(target);
  await rmdir(target);
  await unmount(staging);
  await rmdir(staging);
  await unlink(data);
}

export async function rawLife(place: FloorPlace, name: string, size: number): Promise<void> {
  const data = await sparseFile(place, name, size);
  const { staging, target } = paths(place, name);
  mkdirSync(staging);
  const loop = await attachLoop({ path: data, autoclear: false, blockSize: 4096 });
  loop.close();
  await writeFile(target, "");
  await bind({ source: loop.device, target });
  await unmount(target);
  await unlink(target);
  await detachLoop(loop.number, await stat(data, { bigint: true }));
  await rmdir(staging);
  await unlink(data);
}

function paths(place: FloorPlace, name: string): { staging: string; target: string } {
  return { staging: join(place.mounts, `${name}-s`), target: join(place.mounts, `${name}-t`) };
}

async function sparseFile(place: FloorPlace, name: string, size: number): Promise<string> {
  const data = join(place.pool, name);
  closeSync(openSync(data, "wx", 0o600));
  await truncate(data, size);
  return data;
}
