/** Which of our threads the kernel prefers where there are more of them than processors. */
import { readdirSync, readlinkSync } from "node:fs";
import { native } from "./native.ts";

const SCHED_BATCH = 3;
const cSetScheduler = native("sched_setscheduler", "int", ["int", "int", "void *"]);

/**
 * All threads there are now, but the main one, no longer interrupt others when they wake (sched(7), SCHED_BATCH): each call that the main
 * thread hands to one of the pool woke it on the main thread's processor and often in its place, which on two busy processors cost
 * one in fourteen of the driver's milliseconds. Their share of the processors stays, and programs that they start inherit it. Needs no privilege; what
 * the host does not allow is left as it is. May be called again: for threads that are new.
 */
export function mainThreadFirst(): void {
  // Where /proc is of another PID namespace, its numbers are of other processes here.
  if (readlinkSync("/proc/self") !== String(process.pid)) return;
  const priority = Buffer.alloc(4);
  for (const thread of readdirSync("/proc/self/task")) {
    if (Number(thread) !== process.pid) cSetScheduler(Number(thread), SCHED_BATCH, priority);
  }
}
