/** So many at once and no more; who comes later waits for a turn, in order. */
export class Lane {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  #movedAt = 0;

  constructor(width: number) {
    this.#free = width;
  }

  /** Takes a place if there is one. Whoever has one gives it back with `leave`, once. */
  enter(): boolean {
    if (this.#free === 0) return false;
    this.#free--;
    return true;
  }

  /** Calls `begin` with a place taken, in its turn; `refuse` instead when the signal is aborted before. After `enter` said no. */
  wait(begin: () => void, refuse: (reason: unknown) => void, signal?: AbortSignal): void {
    if (signal?.aborted) {
      refuse(signal.reason);
      return;
    }
    if (this.#waiting.length === 0) this.#movedAt = performance.now();
    if (!signal) {
      this.#waiting.push(begin);
      return;
    }
    const leave = () => {
      const at = this.#waiting.indexOf(turn);
      if (at >= 0) this.#waiting.splice(at, 1);
      refuse(signal.reason);
    };
    const turn = () => {
      signal.removeEventListener("abort", leave);
      begin();
    };
    this.#waiting.push(turn);
    signal.addEventListener("abort", leave, { once: true });
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (!next) {
      this.#free++;
      return;
    }
    this.#movedAt = performance.now();
    next();
  }

  /** Milliseconds for which some have waited and none had a turn; 0 where nobody waits. */
  get standsMs(): number {
    return this.#waiting.length === 0 ? 0 : performance.now() - this.#movedAt;
  }

  /** Runs `work` when there is room. A signal that is aborted before its turn takes it out of the queue. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (!this.enter()) await new Promise<void>((resolve, reject) => this.wait(resolve, reject, signal));
    try {
      return await work();
    } finally {
      this.leave();
    }
  }
}

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
