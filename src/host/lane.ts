/**
 * System calls that block take a thread of libuv's pool (16, bin/holdfast-node sets it), which all of node:fs shares.
 * Each lane is well below that, so that calls that hang for ever (a dead network file system, a frozen volume) use up
 * their own lane and nothing else.
 */
export class Lane {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(width: number) {
    this.#free = width;
  }

  /** Runs `work` when there is room. A signal that is aborted before its turn takes it out of the queue. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        const at = this.#waiting.indexOf(enter);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(signal?.reason);
      };
      const enter = () => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      this.#waiting.push(enter);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }
}

/** For calls on what is ours: loop devices, the pool's files, the mount table. */
export const ordinary = new Lane(6);
/** For calls that a foreign or broken file system can hold for ever: statfs, syncfs, freeze, umount, mount. */
export const mayHang = new Lane(6);

/** Rejects with the signal's reason when it is aborted; `work` itself goes on, and its outcome is ignored then. */
export function abandonable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason);
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}
