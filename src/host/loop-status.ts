/** What loop devices carry, as the kernel knows it. */
import { constants } from "node:fs";
import { access, readdir } from "node:fs/promises";
import { closeFile, openFile } from "./files.ts";
import { ioctlBuffer } from "./native.ts";
import { isSystemError } from "./system-error.ts";

const LOOP_GET_STATUS64 = 0x4c05;

export interface LoopStatus {
  readonly number: number;
  /** st_dev and st_ino of the backing file, as `stat` with bigint gives them. */
  readonly dev: bigint;
  readonly ino: bigint;
  readonly autoclear: boolean;
  readonly readonly: boolean;
  readonly directIo: boolean;
  /** The name given when it was attached, cut to its last 63 bytes. For people only. */
  readonly name: string;
}

/** Of an open loop device; absent: it carries nothing. */
export async function readLoopStatus(fd: number): Promise<LoopStatus | undefined> {
  const info = Buffer.alloc(232);
  try {
    await ioctlBuffer({ syscall: "ioctl(LOOP_GET_STATUS64)" }, fd, LOOP_GET_STATUS64, info);
  } catch (error) {
    if (isSystemError(error, "ENXIO")) return undefined;
    throw error;
  }
  const flags = info.readUInt32LE(52);
  const name = info.subarray(56, 120);
  return {
    number: info.readUInt32LE(40),
    dev: info.readBigUInt64LE(0),
    ino: info.readBigUInt64LE(8),
    autoclear: (flags & 4) !== 0,
    readonly: (flags & 1) !== 0,
    directIo: (flags & 16) !== 0,
    name: name.subarray(0, Math.max(name.indexOf(0), 0)).toString(),
  };
}

/** Absent: no such device, or it carries nothing. */
export async function loopStatus(number: number): Promise<LoopStatus | undefined> {
  try {
    const fd = await openFile(`/dev/loop${number}`, constants.O_RDONLY);
    try {
      return await readLoopStatus(fd);
    } finally {
      await closeFile(fd);
    }
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENXIO")) return undefined;
    throw error;
  }
}

/** Every loop device that there is, attached or not, in order. */
export async function loopNumbers(): Promise<number[]> {
  const names = await readdir("/sys/block");
  const numbers = names.flatMap((name) => (/^loop\d+$/.test(name) ? [Number(name.slice(4))] : []));
  return numbers.sort((a, b) => a - b);
}

/** /sys/block/loopN/loop is there exactly while a file is attached. */
export function isAttached(number: number): Promise<boolean> {
  return access(`/sys/block/loop${number}/loop`).then(
    () => true,
    () => false,
  );
}

/** Every loop device of this kernel that carries a file, also of other containers and mount namespaces. */
export async function listLoops(): Promise<LoopStatus[]> {
  const found = await Promise.all(
    (await loopNumbers()).map(async (number) => ((await isAttached(number)) ? loopStatus(number) : undefined)),
  );
  return found.filter((status) => status !== undefined);
}

/**
 * Numbers of the devices that carry this file. `file` is a `stat` with bigint. Costs an open of every attached device:
 * whether one of ours carries it is told faster by `isLocked`.
 */
export async function findLoops(file: { readonly dev: bigint; readonly ino: bigint }): Promise<number[]> {
  return (await listLoops()).filter((s) => s.dev === file.dev && s.ino === file.ino).map((s) => s.number);
}

/** How many devices exist and carry nothing. The kernel makes more on demand, so 0 is no error by itself. */
export async function freeLoops(): Promise<number> {
  const used = await Promise.all((await loopNumbers()).map(isAttached));
  return used.filter((busy) => !busy).length;
}
