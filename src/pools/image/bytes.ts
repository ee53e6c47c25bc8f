/** The files behind volumes: made, copied and grown; copies and growth are durable when the call returns (names are the caller's). */
import { closeSync, constants } from "node:fs";
import { reflink, sparseCopy } from "../../host/copies.ts";
import { closeFile, openFile, preallocate, syncFile } from "../../host/files.ts";
import { lstat, stat, truncate } from "../../host/fs.ts";
import { naming } from "../../host/system-error.ts";
import { together } from "../../host/together.ts";
import { Problem } from "../problem.ts";
import { hasCode } from "../record.ts";

/**
 * A file of `size` bytes that reads as zeros; with `thick` its blocks are there. Not yet durable: its aside is synced as a
 * whole. Answers it open, for the caller to close.
 */
export async function makeImage(path: string, size: number, thick: boolean): Promise<number> {
  const fd = await openFile(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    await naming(path, truncate(fd, size));
    if (thick) await naming(path, preallocate(fd, size));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Bytes. Throws CONTENT_LOST for a file that is gone, or shorter than what its record says. */
export async function sizeOf(path: string, atLeast: number): Promise<number> {
  const there = await lstat(path).catch((error: unknown) => {
    if (!hasCode(error, "ENOENT")) throw error;
    throw new Problem("CONTENT_LOST", `the file ${path} is not there`, { cause: error });
  });
  // A link's file, or a device, is perhaps another volume's.
  if (!there.isFile()) throw new Problem("CONTENT_LOST", `${path} is not a file`);
  const { size } = there;
  if (size < atLeast) {
    throw new Problem("CONTENT_LOST", `the file ${path} has ${size} bytes and its record says ${atLeast}`);
  }
  return size;
}

/** Never shorter: a file that is as large already stays as it is, and one that can't be grown has its old size again. */
export async function growImage(path: string, size: number, thick: boolean): Promise<void> {
  const { size: now } = await stat(path);
  if (now >= size && !thick) return;
  const fd = await openFile(path, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    try {
      if (now < size) await naming(path, truncate(fd, size));
      if (thick) await naming(path, preallocate(fd, size));
    } catch (error) {
      if (now < size) await truncate(fd, now);
      throw error;
    }
    await naming(path, syncFile(fd));
  } finally {
    await closeFile(fd);
  }
}

/**
 * Throws CONTENT_LOST where the source is gone, or has less than `size` bytes. `signal` leaves a part of a copy behind, for
 * the caller to discard. Answers the bytes that the copy has.
 */
export async function copyImage(
  from: string,
  to: string,
  options: {
    readonly reflink: boolean;
    readonly thick: boolean;
    /** Bytes that the source has by its record. */
    readonly size: number;
    readonly signal: AbortSignal;
    /** The caller makes a copy by reference durable himself, with what lies beside it. */
    readonly durableLater?: boolean;
  },
): Promise<number> {
  const size = await sizeOf(from, options.size);
  if (options.reflink && (await shareBlocks(from, to, options.durableLater ?? false))) return size;
  await sparseCopy(from, to, { signal: options.signal });
  if (options.thick) await growImage(to, size, true);
  return size;
}

/** False: the file system can't, and `to` is an empty file. */
async function shareBlocks(from: string, to: string, durableLater: boolean): Promise<boolean> {
  const opening = [
    openFile(from, constants.O_RDONLY | constants.O_NOFOLLOW),
    openFile(to, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600),
  ] as const;
  const ends = await Promise.allSettled(opening);
  try {
    const [source, target] = await Promise.all(opening);
    if (!(await naming(to, reflink(source, target)))) return false;
    if (!durableLater) await naming(to, syncFile(target));
    return true;
  } finally {
    const opened = ends.flatMap((end) => (end.status === "fulfilled" ? [end.value] : []));
    await together(opened.map((fd) => closeFile(fd)));
  }
}
