/** Answers of pools that nobody may wait for without end, because a disk may not answer. */
import { inShare } from "../host/share.ts";
import { silent, within } from "../host/within.ts";
import type { Log } from "../observe/log.ts";
import type { Pool } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import type { PoolSlot } from "../pools/slots.ts";
import type { Call } from "./api.ts";

/** Milliseconds that a call without a deadline waits for a pool's list. */
const longestMs = 30_000;

/**
 * What `question` gives about the pool, in its share; POOL_UNAVAILABLE, just before the caller's deadline, where it gives nothing:
 * a list without one of the pools would say that what is in it is gone.
 */
export async function asked<T>(slot: PoolSlot, call: Call, question: (pool: Pool) => Promise<T>): Promise<T> {
  const left = call.deadline === undefined ? longestMs : Math.max(0, call.deadline - Date.now());
  const ms = left - Math.min(500, left / 5);
  const answer = await within(ms, answerOf(slot, question));
  if (answer !== silent) return answer;
  throw new Problem("POOL_UNAVAILABLE", `the pool '${slot.config.name}' did not answer within ${Math.round(ms)} ms`, {
    advice: "see why its disk does not answer; the pool works again by itself when that does",
  });
}

/**
 * Questions to pools that a call is not about. One that does not answer in time is left out from then on, and is asked nothing
 * more, until it has answered: it costs others neither threads nor time.
 */
export class Bystanders {
  readonly #withinMs: number;
  readonly #log: Log;
  readonly #silent = new Set<PoolSlot>();

  constructor(withinMs: number, log: Log) {
    this.#withinMs = withinMs;
    this.#log = log;
  }

  /** Undefined: it is left out. Throws what the pool says in time, and what opening it says. */
  async ask<T>(slot: PoolSlot, question: (pool: Pool) => Promise<T>): Promise<T | undefined> {
    if (this.#silent.has(slot)) return undefined;
    const pool = slot.config.name;
    const answering = answerOf(slot, question);
    const answer = await within(this.#withinMs, answering);
    if (answer !== silent) return answer;
    if (this.#silent.has(slot)) return undefined;
    this.#silent.add(slot);
    this.#log.warn({ pool, ms: this.#withinMs }, "the pool does not answer; others go on without it");
    const back = () => {
      this.#silent.delete(slot);
      this.#log.info({ pool }, "the pool answers again");
    };
    answering.then(back, back);
    return undefined;
  }
}

function answerOf<T>(slot: PoolSlot, question: (pool: Pool) => Promise<T>): Promise<T> {
  return inShare(slot.share, async () => question(slot.current ?? (await slot.pool())));
}
