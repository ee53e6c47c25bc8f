/** Runs parts and counts: what the command and the sample in `npm test` share. */
import { makeScratch } from "../../support/scratch.ts";
import type { Part, Tries } from "./part.ts";

export interface Failure {
  readonly part: Part;
  readonly point: string;
  readonly error: unknown;
}

interface Repeatable {
  readonly part: Pick<Part, "fault" | "pool" | "operation">;
  readonly point: string;
}

export interface Counted {
  readonly part: Part;
  readonly tried: number;
  /** Of those, where the step to be broken did not come: they show nothing. */
  readonly missed: number;
  readonly failures: readonly Failure[];
  readonly seconds: number;
}

export interface Wishes {
  readonly sample: boolean;
  readonly seed: number;
  readonly at?: string | undefined;
  /** Told of each failure as it happens. */
  readonly failed?: (failure: Failure) => void;
}

export async function runPart(part: Part, wishes: Wishes): Promise<Counted> {
  const failures: Failure[] = [];
  const began = performance.now();
  let tried = 0;
  let missed = 0;
  const fail = (point: string, error: unknown) => {
    const failure = { part, point, error };
    failures.push(failure);
    wishes.failed?.(failure);
  };
  const tries: Tries = {
    ...wishes,
    scratch: makeScratch,
    missed: () => {
      missed += 1;
    },
    async try(point, work) {
      if (wishes.at !== undefined && wishes.at !== point && !wishes.at.split(",").includes(point)) return true;
      tried += 1;
      try {
        await work();
        return true;
      } catch (error) {
        fail(point, error);
        return false;
      }
    },
  };
  try {
    await part.run(tries);
  } catch (error) {
    fail("", error);
  }
  if (tried === 0 && failures.length === 0) fail("", new Error("nothing was tried"));
  return { part, tried, missed, failures, seconds: (performance.now() - began) / 1000 };
}

/** The command that repeats exactly this try. */
export function repeatOf({ part, point }: Repeatable, seed: number): string {
  const at = point === "" ? "" : ` --at ${point}`;
  return `npm run test:faults -- --only ${part.fault} --pool ${part.pool} --operation ${part.operation}${at} --seed ${seed}`;
}
