/** What stands at the start of a block device, and whether anybody uses it. */
import { closeSync, constants } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { closeFile, openFile } from "./files.ts";
import { readBytes } from "./fs.ts";
import { isSystemError } from "./system-error.ts";

/** The first `bytes` of the device, less where it is smaller. The caller keeps it open, or mounted, meanwhile. */
export async function readHead(path: string, bytes: number): Promise<Buffer> {
  const fd = await openFile(path, constants.O_RDONLY);
  try {
    return await readOpenHead(fd, bytes);
  } finally {
    closeSync(fd); // not the last one, which would wait for what was written
  }
}

async function readOpenHead(fd: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes);
  let at = 0;
  while (at < bytes) {
    const { bytesRead } = await readBytes(fd, buffer, at, bytes - at, at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return buffer.subarray(0, at);
}

/** Whether the first `bytes` read as zeros. `fd` absent: it is opened. */
export async function isAllZero(
  { device, fd }: { readonly device: string; readonly fd?: number },
  bytes: number,
): Promise<boolean> {
  return isZeros(await (fd === undefined ? readHead(device, bytes) : readOpenHead(fd, bytes)));
}

/** In native code: a hundred thousand bytes one by one cost a millisecond. */
export function isZeros(bytes: Buffer): boolean {
  return bytes.equals(Buffer.alloc(bytes.length));
}

/**
 * The device for this process alone: until `release` no file system of it can be mounted, in any mount namespace, nor can
 * another claim it (open(2), O_EXCL on a block device). The kernel lets go of a device a moment after its last unmount, or much
 * later when somebody else holds it. Undefined: still held after `patienceMs` milliseconds.
 */
export async function claimDevice(
  path: string,
  patienceMs: number,
): Promise<{ readonly release: () => Promise<void> } | undefined> {
  for (const start = performance.now(); ; await delay(2)) {
    try {
      const fd = await openFile(path, constants.O_RDONLY | constants.O_EXCL);
      return { release: () => closeFile(fd) };
    } catch (error) {
      if (!isSystemError(error, "EBUSY")) throw error;
      if (performance.now() - start > patienceMs) return undefined;
    }
  }
}

/** Waits until no file system has the device, in any mount namespace. False: still held after two seconds. */
export async function untilUnused(path: string): Promise<boolean> {
  const claim = await claimDevice(path, 2000);
  await claim?.release();
  return claim !== undefined;
}
