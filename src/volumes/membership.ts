/** That this node serves a shared pool stands in the pool, where controllers elsewhere read it: kept right while the driver runs. */
import { setTimeout as delay } from "node:timers/promises";
import { within } from "../host/within.ts";
import type { Log } from "../observe/log.ts";
import type { Pool } from "../pools/pool.ts";
import { explain } from "./explain.ts";

/** Milliseconds between looks, each of which reads one small file. */
const lookMs = 5_000;
/** Milliseconds that a look gets to end when it is stopped; on a disk that does not answer it may never. */
const endMs = 100;

export class Membership {
  readonly #log: Log;
  readonly #lookMs: number;
  readonly #ending = new AbortController();
  readonly #watches: Promise<void>[] = [];

  constructor(log: Log, everyMs = lookMs) {
    this.#log = log;
    this.#lookMs = everyMs;
  }

  /** Looks after the record until `stop`. Nothing where the pool has none. Never throws. */
  watch(pool: Pool): void {
    if (pool.shared && pool.rejoin) this.#watches.push(this.#watch(pool));
  }

  /** Nothing is written after it, unless a disk did not answer in a tenth of a second. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await within(endMs, Promise.all(this.#watches));
  }

  async #watch(pool: Pool): Promise<void> {
    const { signal } = this.#ending;
    let told: string | undefined;
    for (;;) {
      // It was right when the pool was opened.
      await delay(this.#lookMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        const damage = await pool.rejoin?.();
        told = undefined;
        if (damage !== undefined)
          this.#log.warn({ pool: pool.name, damage }, "the pool's record of this node was written anew");
      } catch (error) {
        const { message } = explain(error);
        if (message !== told)
          this.#log.warn({ pool: pool.name, error }, "the pool's record of this node can't be looked after");
        told = message;
      }
    }
  }
}
