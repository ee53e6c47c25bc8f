/** Space that a volume's file system frees: given back to the pool, or kept where the pool reserved it. */
import { constants } from "node:fs";
import { closeFile, openFile } from "./files.ts";
import { writeFile } from "./fs.ts";
import { abandonable } from "./lane.ts";
import { loopAttribute } from "./loop-attribute.ts";
import { ioctlBuffer, syncfs } from "./native.ts";
import { isSystemError } from "./system-error.ts";

const FITRIM = 0xc0185879;

/** Tells the device of every free block of the mounted file system. Answers the bytes that the file system named. */
export async function trim(mountPath: string, signal?: AbortSignal): Promise<number> {
  const fd = await openFile(mountPath, constants.O_RDONLY | constants.O_DIRECTORY);
  const range = Buffer.alloc(24);
  range.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, 8);
  const work = async () => {
    try {
      // What was deleted counts as free only after the journal has it.
      await syncfs(fd, mountPath, "mayHang", signal);
      await ioctlBuffer({ syscall: "ioctl(FITRIM)", path: mountPath }, fd, FITRIM, range, "mayHang");
    } finally {
      await closeFile(fd);
    }
  };
  await abandonable(work(), signal);
  return Number(range.readBigUInt64LE(8));
}

const discardLimit = "queue/discard_max_bytes";

/**
 * Turns discards off on an attached loop device, so that blocks that were reserved stay so. The kernel keeps this for
 * the number, over attachments, and takes no other value afterwards: `attachLoop` renews a number that it finds so.
 * Fails where /sys is read-only, as in some containers.
 */
export async function forbidDiscards(number: number): Promise<void> {
  const path = `/sys/block/loop${number}/${discardLimit}`;
  try {
    await writeFile(path, "0");
  } catch (error) {
    // What passes, as a lack of descriptors, is told as what it is.
    if (!isSystemError(error, "EROFS", "EACCES", "EPERM")) throw error;
    throw new Error(`cannot turn discards of /dev/loop${number} off: ${path} is not writable`, { cause: error });
  }
}

/** Whether the number, attached or not, refuses discards because somebody said so. */
export function discardsForbidden(number: number): boolean {
  return loopAttribute(number, discardLimit) === "0";
}
