/** The kernel keeps the numbers of loop devices that were ever made: a thousand of them would slow every later look. */
import { closeSync, openSync, readdirSync } from "node:fs";
import { isAttached } from "../../src/host/loop-status.ts";
import { call, native } from "../../src/host/native.ts";

const LOOP_CTL_REMOVE = 0x4c81;

/** One more than the highest number. */
export function loopCount(): number {
  const numbers = readdirSync("/sys/block").flatMap((name) => (/^loop\d+$/.test(name) ? [Number(name.slice(4))] : []));
  return Math.max(-1, ...numbers) + 1;
}

/** Removes the devices from number `from` on that carry nothing; one that is taken meanwhile stays. */
export function forgetSpareLoops(from: number): void {
  const ioctl = native("ioctl", "int", ["int", "ulong", "int64"]);
  const control = openSync("/dev/loop-control", "r+");
  try {
    for (let number = loopCount() - 1; number >= from; number -= 1) {
      if (isAttached(number)) continue;
      try {
        call({ syscall: "ioctl(LOOP_CTL_REMOVE)" }, ioctl, control, LOOP_CTL_REMOVE, number);
      } catch {
        // in use, or not there
      }
    }
  } finally {
    closeSync(control);
  }
}
