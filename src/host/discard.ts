/** Space that a volume's file system frees: given back to the pool, or kept where the pool reserved it. */
import { constants } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { closeFile, openFile } from "./files.ts";
import { abandonable, mayHang } from "./lane.ts";
import { ioctlBuffer, syncfs } from "./native.ts";

const FITRIM = 0xc0185879;

/** Tells the device of every free block of the mounted file system. Answers the bytes that the file system named. */
export async function trim(mountPath: string, signal?: AbortSignal): Promise<number> {
  const fd = await openFile(mountPath, constants.O_RDONLY | constants.O_DIRECTORY);
  const range = Buffer.alloc(24);
  range.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, 8);
  const work = async () => {
    try {
      // What was deleted counts as free only after the journal has it.
      await syncfs(fd, mountPath, mayHang, signal);
      await ioctlBuffer({ syscall: "ioctl(FITRIM)", path: mountPath }, fd, FITRIM, range, mayHang);
    } finally {
      await closeFile(fd);
    }
  };
  await abandonable(work(), signal);
  return Number(range.readBigUInt64LE(8));
}

const limitOf = (number: number, name: "discard_max_bytes" | "discard_max_hw_bytes") =>
  `/sys/block/loop${number}/queue/${name}`;

/**
 * The most that one discard on the loop device may free, in bytes; 0 turns discards off, so that blocks that were
 * reserved stay so. It outlives the attachment: the next file on this number inherits it (`attachLoop` undoes a 0).
 * Fails where /sys is read-only, as in some containers.
 */
export async function setDiscardLimit(number: number, bytes: number): Promise<void> {
  const path = limitOf(number, "discard_max_bytes");
  try {
    await writeFile(path, String(bytes));
  } catch (error) {
    throw new Error(`cannot limit discards of /dev/loop${number}: ${path} is not writable`, { cause: error });
  }
}

/** Undoes the 0 that an earlier user of the number may have left. Without effect where /sys is read-only. */
export async function allowDiscards(number: number): Promise<void> {
  try {
    if ((await readFile(limitOf(number, "discard_max_bytes"), "latin1")).trim() !== "0") return;
    const most = await readFile(limitOf(number, "discard_max_hw_bytes"), "latin1");
    if (most.trim() !== "0") await writeFile(limitOf(number, "discard_max_bytes"), most.trim());
  } catch {
    // Discards are a service, not a promise: a volume without them is whole.
  }
}
