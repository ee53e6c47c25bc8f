/** What every group is given. */
import type { Scratch } from "../../test/support/scratch.ts";
import type { Table } from "./figure.ts";

export interface Bench {
  readonly scratch: Scratch;
  /** A short run: fewer rounds, smaller volumes. Its figures are noisy. */
  readonly quick: boolean;
  /** `bin/holdfast` of the checkout that is measured. */
  readonly program: string;
  /** Says what is being done, for whoever waits. */
  say(text: string): void;
}

export type Group = (bench: Bench) => Promise<readonly Table[]>;
