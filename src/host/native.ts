/**
 * The system calls that Node does not offer, through koffi. Symbols are taken from the process, not from a library by
 * name, so that a preloaded library can stand in between (fault injection). What has a wrapper in every glibc since 2.28
 * goes by its name; the rest by number through syscall(2), the same number on x86-64 and arm64.
 */
import { constants } from "node:os";
import koffi from "koffi";
import { currentShare, type Room } from "./share.ts";
import { isSystemError, SystemError } from "./system-error.ts";

type Value = number | bigint | string | Buffer | null | readonly (string | null)[];
interface Native {
  (...args: Value[]): number | bigint;
  async(...args: [...Value[], (error: unknown, result: number | bigint) => void]): void;
}

const { EINTR } = constants.errno;
const library = koffi.load(null);

/** A function of the C library. Types as koffi spells them. */
export function native(name: string, result: string, args: readonly string[]): Native {
  return library.func(name, result, [...args]) as unknown as Native;
}

export interface About {
  readonly syscall: string;
  readonly path?: string;
  /** The whole phrase for the message, where system call and path do not say it. */
  readonly doing?: string;
}

/** Calls on this thread: only for what never waits. What a signal interrupted is called again. @throws SystemError when the result is -1. */
export function call(about: About, fn: Native, ...args: Value[]): number {
  for (;;) {
    const result = Number(fn(...args));
    if (result !== -1) return result;
    const errno = koffi.errno();
    if (errno !== EINTR) throw new SystemError(errno, about.syscall, about);
  }
}

/** Calls on a thread of the pool, in that room of the share; else as `call`. Buffers stay reachable until it returns. @throws SystemError */
export function callAsync(
  about: About,
  room: Room,
  signal: AbortSignal | undefined,
  fn: Native,
  ...args: Value[]
): Promise<number> {
  const lane = currentShare()[room];
  return new Promise<number>((resolve, reject) => {
    // The kernel writes into these while nothing else here refers to them.
    const kept = [...args];
    const end = () => {
      kept.length = 0;
      lane.leave();
    };
    const once = () => {
      try {
        fn.async(...args, (error, result) => {
          // errno belongs to the call that koffi reports here, and must be read before anything else is called.
          const errno = koffi.errno();
          if (!error && Number(result) === -1 && errno === EINTR && !signal?.aborted) return once();
          end();
          if (error) reject(error);
          else if (Number(result) === -1) reject(new SystemError(errno, about.syscall, about));
          else resolve(Number(result));
        });
      } catch (error) {
        end();
        reject(error);
      }
    };
    if (signal?.aborted) reject(signal.reason);
    else if (lane.enter()) once();
    else lane.wait(once, reject, signal);
  });
}

const cFlock = native("flock", "int", ["int", "int"]);
const cIoctl = native("ioctl", "int", ["int", "ulong", "int64"]);
const cIoctlBuffer = native("ioctl", "int", ["int", "ulong", "void *"]);
const cFallocate = native("fallocate", "int", ["int", "int", "int64", "int64"]);
const cLseek = native("lseek", "int64", ["int", "int64", "int"]);
const cSyncfs = native("syncfs", "int", ["int"]);
const cCopyFileRange = native("copy_file_range", "int64", ["int", "void *", "int", "void *", "size_t", "uint"]);
const cRenameat2 = native("renameat2", "int", ["int", "str", "int", "str", "uint"]);

export const AT_FDCWD = -100;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
const LOCK_UN = 8;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
export const RENAME_NOREPLACE = 1;

/** flock(2) without waiting; false when another open file description holds it. */
export function tryLock(fd: number, path?: string): boolean {
  try {
    call({ syscall: "flock", ...(path === undefined ? {} : { path }) }, cFlock, fd, LOCK_EX | LOCK_NB);
    return true;
  } catch (error) {
    if (error instanceof SystemError && error.code === "EAGAIN") return false;
    throw error;
  }
}

/** Lets go of what `tryLock` took, at once, also where a child that is being started has a copy of the descriptor. */
export function unlock(fd: number): void {
  call({ syscall: "flock" }, cFlock, fd, LOCK_UN);
}

/** ioctl(2) with a number as its argument. */
export function ioctl(about: About, fd: number, request: number, value = 0, room: Room = "ordinary"): Promise<number> {
  return callAsync(about, room, undefined, cIoctl, fd, request, value);
}

/** ioctl(2) with a structure, read or filled in place. */
export function ioctlBuffer(
  about: About,
  fd: number,
  request: number,
  buffer: Buffer,
  room: Room = "ordinary",
): Promise<number> {
  return callAsync(about, room, undefined, cIoctlBuffer, fd, request, buffer);
}

export function fallocate(fd: number, mode: number, offset: number, length: number): Promise<number> {
  return callAsync({ syscall: "fallocate" }, "ordinary", undefined, cFallocate, fd, mode, offset, length);
}

/** lseek(2); -1 stands for ENXIO: no data, or no hole, from there on. */
export async function lseek(fd: number, offset: number, whence: number): Promise<number> {
  try {
    return await callAsync({ syscall: "lseek" }, "ordinary", undefined, cLseek, fd, offset, whence);
  } catch (error) {
    if (error instanceof SystemError && error.code === "ENXIO") return -1;
    throw error;
  }
}

export function syncfs(fd: number, path: string, room: Room, signal?: AbortSignal): Promise<number> {
  return callAsync({ syscall: "syncfs", path }, room, signal, cSyncfs, fd);
}

/** copy_file_range(2) at the same offset of both files; answers the bytes that were copied. */
export function copyFileRange(from: number, to: number, offset: number, length: number): Promise<number> {
  const [at, dest] = [Buffer.alloc(8), Buffer.alloc(8)];
  at.writeBigInt64LE(BigInt(offset));
  dest.writeBigInt64LE(BigInt(offset));
  const about = { syscall: "copy_file_range" };
  return callAsync(about, "ordinary", undefined, cCopyFileRange, from, at, to, dest, length, 0);
}

export async function renameat2(fromAt: number, from: string, toAt: number, to: string, flags: number): Promise<void> {
  const about = { syscall: "renameat2", doing: `rename ${from} to ${to}` };
  await callAsync(about, "ordinary", undefined, cRenameat2, fromAt, from, toAt, to, flags);
}

/** mknod(2) of a block device, for root only (0600). One that is there already is fine. */
export function createDeviceNode(path: string, major: number, minor: number): void {
  const blockDevice = 0o060600;
  // The encoding of glibc's makedev(3), 64 bits.
  const [high, low] = [BigInt(major), BigInt(minor)];
  const device = ((high & 0xfffn) << 8n) | ((high & ~0xfffn) << 32n) | (low & 0xffn) | ((low & ~0xffn) << 12n);
  // Not a symbol before glibc 2.33, so it is looked for only when it is needed.
  const cMknod = native("mknod", "int", ["str", "uint", "uint64"]);
  try {
    call({ syscall: "mknod", path }, cMknod, path, blockDevice, device);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "EEXIST") throw error;
  }
}

const RLIMIT_AS = 9;
const cPrlimit = native("prlimit", "int", ["int", "int", "void *", "void *"]);

/** Limits the address space of a running child. One that has ended already is no error. */
export function limitMemory(pid: number, bytes: number): void {
  const limits = Buffer.alloc(16);
  limits.writeBigUInt64LE(BigInt(bytes), 0);
  limits.writeBigUInt64LE(BigInt(bytes), 8);
  try {
    call({ syscall: "prlimit", doing: `limit the memory of process ${pid}` }, cPrlimit, pid, RLIMIT_AS, limits, null);
  } catch (error) {
    if (!isSystemError(error, "ESRCH")) throw error;
  }
}
