import type { Scratch } from "../../support/scratch.ts";
import type { Tries } from "./part.ts";
import { within } from "./within.ts";

export interface Keeping<T> {
  /** A try that takes longer hangs, and that is a failure: milliseconds. */
  readonly tryMs: number;
  make(scratch: Scratch): Promise<T>;
  /** What a failure tells of it, before it is thrown away. */
  tell(kept: T): string;
}

/** What tries use one after another, and that is thrown away when one of them failed. */
export class Kept<T> {
  readonly #tries: Tries;
  readonly #keeping: Keeping<T>;
  #there: { readonly kept: T; readonly scratch: Scratch } | undefined;
  #count = 0;

  constructor(tries: Tries, keeping: Keeping<T>) {
    this.#tries = tries;
    this.#keeping = keeping;
  }

  /** `name` is one that this has not had. */
  async with<R>(work: (kept: T, name: string) => Promise<R>): Promise<R> {
    this.#there ??= await this.#make();
    const { kept } = this.#there;
    this.#count += 1;
    try {
      return await within(this.#keeping.tryMs, work(kept, `try-${this.#count}`), "the try");
    } catch (error) {
      const told = this.#keeping.tell(kept);
      // What it left behind is the failure's, told already.
      await this.end().catch(() => {});
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n${told}`, { cause: error });
    }
  }

  /** Fails when anything is left behind. */
  async end(): Promise<void> {
    const there = this.#there;
    this.#there = undefined;
    await there?.scratch.end();
  }

  async #make() {
    const scratch = this.#tries.scratch();
    try {
      return { scratch, kept: await this.#keeping.make(scratch) };
    } catch (error) {
      await scratch.end().catch(() => {});
      throw error;
    }
  }
}

/** The last lines of a log. */
export function lastOf(log: string, lines: number): string {
  return log.trimEnd().split("\n").slice(-lines).join("\n");
}
