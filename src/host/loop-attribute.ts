/** What sysfs says of a loop device's number, attached or not. It is in memory: no need for another thread. */
import { closeSync, openSync, readSync } from "node:fs";
import { isSystemError } from "./system-error.ts";

/** sysfs gives a whole value at once, and one file is asked of each of a thousand devices. */
const bytes = Buffer.alloc(64);

/** The value of `/sys/block/loopN/<name>`, without its end of line; undefined: there is no such device, or the kernel does not tell. */
export function loopAttribute(number: number, name: string): string | undefined {
  try {
    const fd = openSync(`/sys/block/loop${number}/${name}`, "r");
    try {
      return bytes.toString("latin1", 0, readSync(fd, bytes)).trimEnd();
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENODEV")) return undefined;
    throw error;
  }
}
