/**
 * Loop devices: a file as a block device (loop(4)). Which file one carries is told by lo_device and lo_inode only: the
 * path lies after an unlink and across mount namespaces, and the number is reused.
 */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { refusesWrites, setRefusesWrites } from "./device-writes.ts";
import { discardsForbidden } from "./discard.ts";
import { closeFile, openFile } from "./files.ts";
import { isAttached, loopNumbers, noteLoopFile, readLoopStatus } from "./loop-status.ts";
import { createDeviceNode, ioctl, ioctlBuffer, tryLock } from "./native.ts";
import { isSystemError, SystemError } from "./system-error.ts";

const LOOP_CONFIGURE = 0x4c0a;
const LOOP_CLR_FD = 0x4c01;
const LOOP_SET_CAPACITY = 0x4c07;
const LOOP_CTL_ADD = 0x4c80;
const LOOP_CTL_REMOVE = 0x4c81;
const LOOP_CTL_GET_FREE = 0x4c82;
const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
const LO_FLAGS_DIRECT_IO = 16;

/** Offsets in struct loop_config; `info` stands at 8. */
const at = { fd: 0, blockSize: 4, sizeLimit: 8 + 32, flags: 8 + 52, name: 8 + 56 };
const configSize = 304;
const loopMajor = 7;

/** Somebody has the file open as a device already, here or on another node: flock(2) says so. */
export class BackingBusy extends Error {
  readonly path: string;
  constructor(path: string) {
    super(`${path} is locked: it is open as a device already`);
    this.name = "BackingBusy";
    this.path = path;
  }
}

export interface AttachOptions {
  readonly path: string;
  readonly readonly?: boolean;
  /** The device goes with its last opener or mount, whatever became of us. Else it stays until `detachLoop`. */
  readonly autoclear: boolean;
  /** Default true. The kernel falls back to buffered where the file system cannot; `loopStatus` tells. */
  readonly directIo?: boolean;
  /** Bytes; absent: the whole file. */
  readonly sizeLimit?: number;
  /** Logical block size in bytes; absent: the kernel's choice. */
  readonly blockSize?: number;
}

export interface LoopDevice {
  /** `/dev/loop3` */
  readonly device: string;
  readonly number: number;
  /** Keeps an autoclear device alive until it is mounted or opened by others. */
  readonly fd: number;
  /** May be called twice. */
  close(): void;
}

/**
 * Makes a file a block device. The lock is taken on the very descriptor that the device keeps, so it lasts as long as
 * the device, also when this process is killed. @throws BackingBusy, SystemError
 */
export async function attachLoop(options: AttachOptions): Promise<LoopDevice> {
  const control = openSync("/dev/loop-control", constants.O_RDWR);
  // A number is looked for while the file is being opened.
  const claim = claimNumber(control);
  claim.catch(() => undefined);
  let used = false;
  try {
    const backing = await openBacking(options.path, options.readonly ?? false);
    try {
      if (!tryLock(backing, options.path)) throw new BackingBusy(options.path);
      used = true;
      return await configureFree(control, claim, backing, options);
    } finally {
      closeSync(backing); // nothing was written through it
    }
  } finally {
    const number = await claim.catch(() => undefined);
    if (!used && number !== undefined) claimed.delete(number);
    closeSync(control);
  }
}

/** For writing even if the device is read-only: on NFS an exclusive flock needs that. */
async function openBacking(path: string, readonly: boolean): Promise<number> {
  try {
    return await openFile(path, constants.O_RDWR | constants.O_NOFOLLOW);
  } catch (error) {
    if (!readonly || !isSystemError(error, "EROFS", "EACCES", "EPERM")) throw error;
    return openFile(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  }
}

/** Numbers that calls of this process are about to configure. */
const claimed = new Set<number>();

async function configureFree(
  control: number,
  first: Promise<number>,
  backing: number,
  options: AttachOptions,
): Promise<LoopDevice> {
  for (let attempt = 0; ; attempt++) {
    const number = await (attempt === 0 ? first : claimNumber(control));
    try {
      if (discardsForbidden(number) || refusesWrites(number)) await renew(control, number);
      return await configure(`/dev/loop${number}`, number, backing, options);
    } catch (error) {
      // Another process took the number between the two calls, or it is still being freed.
      if (attempt >= 500 || !isSystemError(error, "EBUSY", "ENXIO", "ENODEV")) throw error;
      if (attempt % 8 === 7) await delay(Math.random() * 5);
    } finally {
      claimed.delete(number);
    }
  }
}

/** The kernel names the lowest free number to all that ask at once: all but the first take another one. */
async function claimNumber(control: number): Promise<number> {
  const claim = (number: number) => !claimed.has(number) && claimed.add(number);
  const first = await ioctl({ syscall: "ioctl(LOOP_CTL_GET_FREE)" }, control, LOOP_CTL_GET_FREE);
  if (claim(first)) return first;
  for (const number of await loopNumbers()) {
    if (!claimed.has(number) && !isAttached(number) && claim(number)) return number;
  }
  const added = await ioctl({ syscall: "ioctl(LOOP_CTL_ADD)" }, control, LOOP_CTL_ADD, -1);
  claim(added);
  return added;
}

/**
 * A number whose earlier user turned discards off, or made the device read-only (BLKROSET), keeps that until its device is
 * made anew. EBUSY: taken meanwhile.
 */
async function renew(control: number, number: number): Promise<void> {
  await ioctl({ syscall: "ioctl(LOOP_CTL_REMOVE)" }, control, LOOP_CTL_REMOVE, number);
  try {
    await ioctl({ syscall: "ioctl(LOOP_CTL_ADD)" }, control, LOOP_CTL_ADD, number);
  } catch (error) {
    if (!isSystemError(error, "EEXIST")) throw error;
  }
}

/** What a device says of its file: the end of the path by which it was attached, whatever became of the file since. */
export function loopName(path: string): string {
  return path.slice(-63);
}

async function configure(device: string, number: number, backing: number, options: AttachOptions): Promise<LoopDevice> {
  const config = Buffer.alloc(configSize);
  config.writeUInt32LE(backing, at.fd);
  config.writeUInt32LE(options.blockSize ?? 0, at.blockSize);
  config.writeBigUInt64LE(BigInt(options.sizeLimit ?? 0), at.sizeLimit);
  const flags =
    (options.readonly ? LO_FLAGS_READ_ONLY : 0) |
    (options.autoclear ? LO_FLAGS_AUTOCLEAR : 0) |
    (options.directIo === false ? 0 : LO_FLAGS_DIRECT_IO);
  config.writeUInt32LE(flags, at.flags);
  config.write(loopName(options.path), at.name, 63, "latin1");
  const fd = await openLoop(device, number);
  try {
    const about = { syscall: "ioctl(LOOP_CONFIGURE)", doing: `attach ${options.path} to ${device}` };
    await ioctlBuffer(about, fd, LOOP_CONFIGURE, config).catch((error: unknown) => {
      if (!(flags & LO_FLAGS_DIRECT_IO) || !isSystemError(error, "EINVAL")) throw error;
      config.writeUInt32LE(flags & ~LO_FLAGS_DIRECT_IO, at.flags);
      return ioctlBuffer(about, fd, LOOP_CONFIGURE, config);
    });
    // Only to be faster later: who asks finds out by himself else. The device tells of its file what stat(2) does.
    noteAttached(number, backing);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  let open = true;
  const close = () => {
    if (open) closeSync(fd);
    open = false;
  };
  return { device, number, fd, close };
}

function noteAttached(number: number, backing: number): void {
  try {
    noteLoopFile(number, fstatSync(backing, { bigint: true }));
  } catch {
    // The device is asked then.
  }
}

/** A container's own /dev lacks the nodes of devices that came after it: they are made here. */
async function openLoop(device: string, number: number): Promise<number> {
  try {
    return await openFile(device, constants.O_RDWR);
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error;
    createDeviceNode(device, loopMajor, number);
    return openFile(device, constants.O_RDWR);
  }
}

async function withLoop<T>(number: number, use: (fd: number) => Promise<T>): Promise<T> {
  const fd = await openFile(`/dev/loop${number}`, constants.O_RDONLY);
  try {
    return await use(fd);
  } finally {
    await closeFile(fd);
  }
}

/** Lets the device have its file's present size, while it is in use. */
export function setCapacity(number: number): Promise<void> {
  return withLoop(number, async (fd) => {
    await ioctl({ syscall: "ioctl(LOOP_SET_CAPACITY)", path: `/dev/loop${number}` }, fd, LOOP_SET_CAPACITY);
  });
}

/**
 * Frees the device if it still carries this file. "open": somebody has it open or mounted, so the kernel will free it
 * only after them. Not being attached, or carrying another file by now, counts as gone. May be called again.
 */
export async function detachLoop(
  number: number,
  file: { readonly dev: bigint; readonly ino: bigint },
): Promise<"gone" | "open"> {
  const carries = async (fd: number) => {
    const status = await readLoopStatus(fd);
    return status?.dev === file.dev && status.ino === file.ino;
  };
  for (let attempt = 0; attempt < 20; attempt++) {
    try {
      const gone = await withLoop(number, async (fd) => {
        if (!(await carries(fd))) return true;
        // The kernel keeps this for the number: the next user of it, whoever that is, could not write.
        if (refusesWrites(number)) await setRefusesWrites(fd, false);
        await ioctl({ syscall: "ioctl(LOOP_CLR_FD)", path: `/dev/loop${number}` }, fd, LOOP_CLR_FD);
        return false;
      });
      if (gone) return "gone";
    } catch (error) {
      if (isSystemError(error, "ENOENT", "ENXIO")) return "gone";
      if (!(error instanceof SystemError) || error.code !== "EBUSY") throw error;
    }
    // LOOP_CLR_FD answers 0 also when others have it open (udev for an instant, a pod for long): look again.
    if (attempt > 0) await delay(attempt);
  }
  return "open";
}
