import type { PoolKind } from "../pools.ts";
import type { World } from "../world.ts";

/** One thing that an orchestrator asks for, in a form that can be broken at any step, asked again and judged. */
export interface Operation {
  readonly name: string;
  /** Which pools can do it; absent: all. */
  readonly on?: (pool: PoolKind) => boolean;
  /** Makes what it needs. `name` is of this try alone. */
  prepare(world: World, name: string): Promise<Prepared>;
}

export interface Prepared {
  /**
   * The call, and the end of its work in the background. Repeated after the fault until it gets through. Answers the
   * identity that must be the same each time; empty where it has none.
   */
  act(): Promise<string>;
  /** After the fault, before the repeat: what may not be seen half-made is not. Answers the identities of what is seen whole. */
  seen?(): Promise<readonly string[]>;
  /** Once it got through: what was asked for is so, and what was acknowledged before is as it was. */
  check(): Promise<void>;
  /** Takes away what there is, from any state that a repeat can meet. */
  undo(): Promise<void>;
}
