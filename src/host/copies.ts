/** Copies of whole files: by reference where the file system can, else of what is not a hole. */
import { constants } from "node:fs";
import { join } from "node:path";
import { closeFile, openFile, temporaryBeside } from "./files.ts";
import { lstat, readBytes, stat, statfs, syncDescriptor, truncate, unlink, writeBytes } from "./fs.ts";
import { copyFileRange, ioctl, lseek, SEEK_DATA, SEEK_HOLE } from "./native.ts";
import { isSystemError, naming } from "./system-error.ts";

const FICLONE = 0x40049409;
const step = 16 * 1024 * 1024;

/** The file system said no to a reflink in a way that asks for a copy instead. */
const noReflink = ["ENOTSUP", "EXDEV", "EINVAL", "ENOTTY", "ENOSYS"];

async function withDescriptor<T>(file: string | number, flags: number, use: (fd: number) => Promise<T>): Promise<T> {
  if (typeof file === "number") return use(file);
  const fd = await openFile(file, flags | constants.O_NOFOLLOW, 0o600);
  try {
    return await use(fd);
  } finally {
    await closeFile(fd);
  }
}

/**
 * Makes `to` a copy of `from` that shares its blocks: constant time, no space. `to` is made if it is missing and
 * replaced in content if not. False: not possible here (a `to` that was made remains, empty). Durable only after an fsync.
 */
export function reflink(from: string | number, to: string | number): Promise<boolean> {
  return withDescriptor(from, constants.O_RDONLY, (source) =>
    withDescriptor(to, constants.O_RDWR | constants.O_CREAT, async (target) => {
      try {
        const doing = typeof from === "string" && typeof to === "string" ? { doing: `reflink ${from} to ${to}` } : {};
        await ioctl({ syscall: "ioctl(FICLONE)", ...doing }, target, FICLONE, source);
        return true;
      } catch (error) {
        if (isSystemError(error, ...noReflink)) return false;
        throw error;
      }
    }),
  );
}

export interface CopyOptions {
  /** Checked between steps; what was copied remains in `to`. */
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the source that are done, holes included. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/**
 * Copies what is not a hole, gives `to` the same size and syncs it: durable on return (its name is not).
 * `to` must be new or empty, else old content remains under the holes.
 */
export function sparseCopy(from: string, to: string, options: CopyOptions = {}): Promise<void> {
  return withDescriptor(from, constants.O_RDONLY, (source) =>
    withDescriptor(to, constants.O_RDWR | constants.O_CREAT, async (target) => {
      const { size } = await stat(from);
      for (let at = 0; at < size; ) {
        const data = await lseek(source, at, SEEK_DATA);
        if (data === -1 || data >= size) break;
        const end = Math.min(await lseek(source, data, SEEK_HOLE), size);
        for (at = data; at < end; ) {
          options.signal?.throwIfAborted();
          at += await naming(to, copySome(source, target, at, Math.min(step, end - at)));
          options.onProgress?.(at);
        }
      }
      options.signal?.throwIfAborted();
      await naming(to, truncate(target, size));
      await naming(to, syncDescriptor(target));
      options.onProgress?.(size);
    }),
  );
}

/** Bytes copied at `at`, at least one. Between file systems that cannot do it in the kernel: by reading and writing. */
async function copySome(source: number, target: number, at: number, bytes: number): Promise<number> {
  try {
    const copied = await copyFileRange(source, target, at, bytes);
    if (copied > 0) return copied;
  } catch (error) {
    if (!isSystemError(error, ...noReflink)) throw error;
  }
  const buffer = Buffer.allocUnsafe(Math.min(bytes, 1024 * 1024));
  const { bytesRead } = await readBytes(source, buffer, 0, buffer.length, at);
  if (bytesRead === 0) throw new Error("the source of a copy became shorter while it was copied");
  for (let done = 0; done < bytesRead; ) {
    done += (await writeBytes(target, buffer, done, bytesRead - done, at + done)).bytesWritten;
  }
  return bytesRead;
}

/** Whether files in this folder can share blocks, tried with two small files that are gone afterwards. */
export async function reflinks(folder: string): Promise<boolean> {
  const [a, b] = [temporaryBeside(join(folder, "reflink-a")), temporaryBeside(join(folder, "reflink-b"))];
  try {
    const fd = await openFile(a, "wx", 0o600);
    try {
      await writeBytes(fd, Buffer.alloc(4096, 1), 0, 4096, 0);
    } finally {
      await closeFile(fd);
    }
    return await reflink(a, b);
  } finally {
    await Promise.allSettled([unlink(a), unlink(b)]);
  }
}

/** Bytes that the file's blocks take on its file system; blocks shared by reflinks count in each file. */
export async function diskUsage(path: string): Promise<number> {
  return (await lstat(path)).blocks * 512;
}

export interface Space {
  /** Bytes. `available` is what an unprivileged process may still write. */
  readonly total: number;
  readonly free: number;
  readonly available: number;
  /** 0 on file systems that do not count inodes (btrfs). */
  readonly inodes: number;
  readonly freeInodes: number;
}

/** statfs(2) of a path on a file system that is ours to trust; for a volume: `filesystemUsage`, which can be given up. */
export async function filesystemSpace(path: string): Promise<Space> {
  const s = await statfs(path);
  return {
    total: s.blocks * s.bsize,
    free: s.bfree * s.bsize,
    available: s.bavail * s.bsize,
    inodes: s.files,
    freeInodes: s.ffree,
  };
}
