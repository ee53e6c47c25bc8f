/**
 * Lock files that are asked for again a moment later: a volume's next call mostly follows its last. Making and removing
 * the file costs four turns of the threads and two changes of a directory; a lock that rests costs two system calls that
 * ask no disk.
 */
import { type FileLock, lockFile } from "./locks.ts";
import { currentShare, inShare, type Share } from "./share.ts";

/** Milliseconds. Short, for a file that is open keeps its file system from being unmounted. */
const restMs = 250;

interface Resting {
  readonly lock: FileLock;
  readonly since: number;
  /** Of who let it rest: the sweep that removes it runs for all. */
  readonly share: Share;
}

export class WarmLocks {
  readonly #resting = new Map<string, Resting>();
  /** Those that are being removed: until they are, the file is locked by ourselves. */
  readonly #leaving = new Map<string, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  /** As `lockFile`. `release` of what it gives lets the lock rest, and with `last` removes the file. */
  async take(path: string): Promise<WarmLock | { readonly heldBy: string }> {
    const there = this.#resting.get(path);
    this.#resting.delete(path);
    if (there?.lock.again()) return this.#warm(path, there.lock);
    await this.#leaving.get(path);
    const lock = await lockFile(path);
    return "heldBy" in lock ? lock : this.#warm(path, lock);
  }

  /** Removes the files of all that rest. */
  async end(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const path of [...this.#resting.keys()]) this.#leave(path);
    await Promise.all(this.#leaving.values());
  }

  #warm(path: string, lock: FileLock): WarmLock {
    return {
      write: (text) => lock.write(text),
      release: async ({ last }) => {
        // Another descriptor may rest already, of a holder that ended while this one was opening the file.
        if (last || this.#resting.has(path) || !lock.rest()) return lock.release();
        this.#resting.set(path, { lock, since: performance.now(), share: currentShare() });
        this.#timer ??= setTimeout(() => this.#sweep(), restMs).unref();
      },
    };
  }

  #sweep(): void {
    this.#timer = undefined;
    const until = performance.now() - restMs;
    for (const [path, { since }] of this.#resting) if (since <= until) this.#leave(path);
    if (this.#resting.size > 0) this.#timer = setTimeout(() => this.#sweep(), restMs).unref();
  }

  #leave(path: string): void {
    const there = this.#resting.get(path);
    if (!there) return;
    this.#resting.delete(path);
    const gone = inShare(there.share, () => there.lock.release()).finally(() => this.#leaving.delete(path));
    this.#leaving.set(path, gone);
  }
}

export interface WarmLock {
  write(text: string): void;
  /** `last`: nobody will ask for it again. May be called once. Never throws. */
  release(options: { readonly last: boolean }): Promise<void>;
}
