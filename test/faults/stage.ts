import type { DriverOptions } from "../support/driver.ts";
import type { Scratch } from "../support/scratch.ts";
import type { Tries } from "./frame/part.ts";
import { within } from "./frame/within.ts";
import type { PoolKind } from "./pools.ts";
import { whereabouts } from "./whereabouts.ts";
import { World } from "./world.ts";

/** A try that hangs is a failure; the longest that works takes some seconds. Milliseconds. */
const tryMs = 60_000;

/** A world that tries use one after another, and that is thrown away when one of them failed. */
export class Stage {
  readonly #kind: PoolKind;
  readonly #tries: Tries;
  readonly #options: Pick<DriverOptions, "env" | "args" | "initPools">;
  #there: { readonly world: World; readonly scratch: Scratch } | undefined;
  #count = 0;

  constructor(kind: PoolKind, tries: Tries, options: Pick<DriverOptions, "env" | "args" | "initPools"> = {}) {
    this.#kind = kind;
    this.#tries = tries;
    this.#options = options;
  }

  /** `name` is one that this world has not had. */
  async with<T>(work: (world: World, name: string) => Promise<T>): Promise<T> {
    this.#there ??= await this.#make();
    const { world } = this.#there;
    this.#count += 1;
    try {
      return await within(tryMs, work(world, `try-${this.#count}`), "the try");
    } catch (error) {
      const log = world.driver.log().trimEnd().split("\n").slice(-12).join("\n");
      const threads = world.driver.running ? whereabouts(world.driver.pid) : "it is dead";
      // What it left behind is the failure's, told already.
      await this.end().catch(() => {});
      throw new Error(
        `${error instanceof Error ? error.message : String(error)}\nthe driver's threads:\n${threads}\nits log:\n${log}`,
        {
          cause: error,
        },
      );
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
      return { scratch, world: await World.make(this.#kind, scratch, this.#options) };
    } catch (error) {
      await scratch.end().catch(() => {});
      throw error;
    }
  }
}
