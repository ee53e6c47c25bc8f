/** Whether a whole block device refuses writes, which a read-only mount of its node does not make it do (BLKROSET, ioctl_blk). */
import { constants } from "node:fs";
import { closeFile, openFile } from "./files.ts";
import { loopAttribute } from "./loop-attribute.ts";
import { ioctlBuffer } from "./native.ts";

const BLKROSET = 0x125d;

/** Makes the device at `path` refuse writes, or take them again. May be called twice. */
export async function setReadOnly(path: string, readonly: boolean): Promise<void> {
  const fd = await openFile(path, constants.O_RDONLY);
  try {
    await setRefusesWrites(fd, readonly, path);
  } finally {
    await closeFile(fd);
  }
}

/** The same for an open device. The kernel keeps it for a loop device's number, over attachments. */
export async function setRefusesWrites(fd: number, refuses: boolean, path?: string): Promise<void> {
  const value = Buffer.alloc(4);
  value.writeInt32LE(refuses ? 1 : 0);
  await ioctlBuffer({ syscall: "ioctl(BLKROSET)", ...(path === undefined ? {} : { path }) }, fd, BLKROSET, value);
}

/** Whether the loop device of this number, attached or not, refuses writes. */
export function refusesWrites(number: number): boolean {
  return loopAttribute(number, "ro") === "1";
}
