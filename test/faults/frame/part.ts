/** What the fault suite is made of: parts, each one fault against one operation on one pool, made of tries. */
import type { Scratch } from "../../support/scratch.ts";

/** One fault against one operation on one kind of pool: what `--only`, `--pool` and `--operation` choose. */
export interface Part {
  /** As in the table of faults: `kill`, `fail` ... */
  readonly fault: string;
  /** As in the table of pools; "any" where the fault does not depend on one. */
  readonly pool: string;
  /** As in the table of operations, or the fault's own name for what it does. */
  readonly operation: string;
  /** Whether `npm test` tries a few of it: each operation and each fault is in there somewhere. */
  readonly sample: boolean;
  /** Roughly, alone on two cores: for the time left. */
  readonly seconds: number;
  /** Makes the tries, one after another; what fails in a try is told there, what it throws itself ends the part as failed. */
  run(tries: Tries): Promise<void>;
}

/** How much of a part is asked for, and where it tells what became of it. */
export interface Tries {
  /** Only a few tries: those of `npm test`. */
  readonly sample: boolean;
  /** For what is chosen at random: the same seed chooses the same. */
  readonly seed: number;
  /** The only try that is asked for, or several with commas between; absent: all. */
  readonly at?: string | undefined;
  /**
   * One try, under a name that repeats exactly it. Counts it, and tells a failure with the command that repeats it.
   * Answers whether it held; a try that is not wanted holds.
   */
  try(point: string, work: () => Promise<void>): Promise<boolean>;
  /** The try that runs did not come to the step that was to be broken: counted apart. */
  missed(): void;
  /** A new scratch folder, ended with the part. */
  scratch(): Scratch;
}

/**
 * `count` of them, spread over the whole, the first and the last among them; all where there are not more. What `seed`
 * turns is which of those between are taken.
 */
export function spread<T>(all: readonly T[], count: number, seed = 0): T[] {
  if (all.length <= count) return [...all];
  const step = (all.length - 1) / (count - 1);
  const at = (index: number) => {
    const middle = index > 0 && index < count - 1;
    return Math.round(index * step + (middle ? ((seed % 7) / 7 - 0.5) * step : 0));
  };
  return [...new Set(Array.from({ length: count }, (_, index) => at(index)))].flatMap((index) => {
    const one = all[index];
    return one === undefined ? [] : [one];
  });
}
