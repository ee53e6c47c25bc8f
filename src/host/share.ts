/**
 * Whose share of the threads the running work uses. System calls that block take a thread of libuv's pool (bin/holdfast-node
 * sets how many), which everything shares, and one on a disk that does not answer keeps its thread. So each pool has a share of
 * them: however many calls are made to one that hangs, the others have theirs.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { Lane } from "./lane.ts";

/**
 * `ordinary`: calls on what is ours: the pool's files, loop devices, the mount table, starting a program. `mayHang`: calls that a
 * foreign or broken file system can hold for ever: statfs, syncfs, freeze, umount, mount; a volume that hangs uses up this lane
 * and no more of its pool.
 */
export type Room = "ordinary" | "mayHang";

/** As libuv reads it; 4 where it is not set (libuv documentation, "Thread pool work scheduling"). */
const threads = Number(process.env["UV_THREADPOOL_SIZE"] ?? 4) || 4;

/** Together two thirds of the threads: any one pool may hang, and what is left is enough for the others; fewer hold up many callers. */
const widthOf: Readonly<Record<Room, number>> = {
  ordinary: Math.max(1, Math.floor((threads * 5) / 12)),
  mayHang: Math.max(1, Math.floor(threads / 4)),
};

/** Milliseconds without a turn after which calls are not let in any more. */
const standsMs = 100;

export class Share {
  readonly ordinary = new Lane(widthOf.ordinary);
  readonly mayHang = new Lane(widthOf.mayHang);

  /**
   * Undefined: work may begin. Else nothing has moved here for a while, and it may when this resolves: what has not begun yet
   * leaves nothing behind when the signal is aborted, which rejects with its reason.
   */
  admitted(signal: AbortSignal): Promise<void> | undefined {
    return this.ordinary.standsMs < standsMs ? undefined : this.ordinary.run(async () => undefined, signal);
  }
}

/** For work that is of no pool. */
const common = new Share();
const shares = new AsyncLocalStorage<Share>();

export function currentShare(): Share {
  return shares.getStore() ?? common;
}

/** Runs `work`, and all that it begins, in that share; absent: in the common one. */
export function inShare<T>(share: Share | undefined, work: () => T): T {
  return shares.run(share ?? common, work);
}

/** Runs `work` in its turn. A signal that is aborted before takes it out of the queue. */
export function inRoom<T>(room: Room, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  return currentShare()[room].run(work, signal);
}
