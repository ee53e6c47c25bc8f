/** Requests that cross each other, in a form that can be broken and judged. */
import { setTimeout as sleep } from "node:timers/promises";
import { CsiError } from "../../../src/csi/client.ts";
import type { PoolKind } from "../pools.ts";
import type { Pair } from "./pair.ts";

export interface Crossing {
  readonly name: string;
  /** Which shared pools can do it; absent: all. */
  readonly on?: (pool: PoolKind) => boolean;
  prepare(pair: Pair, name: string): Promise<Crossed>;
}

export interface Crossed {
  /** All begun at about the same time; which of them win is open. */
  readonly calls: readonly (() => Promise<unknown>)[];
  /** When all processes run again: what the outcomes promise is so, and what was asked for can be had. In the order of the calls. */
  check(outcomes: readonly Outcome[]): Promise<void>;
}

export interface Outcome {
  readonly answered: boolean;
  /** What it answered; absent: nothing, or it failed. */
  readonly answer?: unknown;
  /** Empty: it did not fail by an answer. */
  readonly code: string;
  readonly message: string;
}

/** Those that no crossing may meet, nor any death of a process. */
const never = ["DATA_LOSS", "UNKNOWN", "INTERNAL", "UNIMPLEMENTED", "INVALID_ARGUMENT"];

/** @throws what is not an answer of the driver, and answers that no crossing may meet. */
export async function outcomeOf(call: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { answered: true, answer: await call(), code: "", message: "" };
  } catch (error) {
    if (!(error instanceof CsiError) || never.includes(error.code)) throw error;
    return { answered: false, code: error.code, message: error.message };
  }
}

/** Asks again for two seconds while others are in the way; then the last refusal counts. */
export async function insisting<T>(call: () => Promise<T>): Promise<T> {
  const end = performance.now() + 2_000;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const passes = error instanceof CsiError && ["ABORTED", "FAILED_PRECONDITION"].includes(error.code);
      if (!passes || performance.now() > end) throw error;
      await sleep(10);
    }
  }
}
