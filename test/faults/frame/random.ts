/** Numbers that look random and follow from a seed, so that a try can be made again. */
export class Random {
  #state: number;

  /** `words`: what else tells this sequence from others of the same seed. */
  constructor(seed: number, words = "") {
    this.#state = seed >>> 0;
    for (const letter of words) this.#state = Math.imul(this.#state ^ letter.charCodeAt(0), 0x01000193) >>> 0;
  }

  /** From 0, below `end`, whole. */
  below(end: number): number {
    // The steps of mulberry32, a generator in the public domain.
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end;
  }

  /** One of them; absent: there is none. */
  of<T>(all: readonly T[]): T | undefined {
    return all.length === 0 ? undefined : all[this.below(all.length)];
  }
}
