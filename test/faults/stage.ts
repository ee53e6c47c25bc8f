import type { DriverOptions } from "../support/driver.ts";
import { Kept, lastOf } from "./frame/kept.ts";
import type { Tries } from "./frame/part.ts";
import type { PoolKind } from "./pools.ts";
import { whereabouts } from "./whereabouts.ts";
import { World } from "./world.ts";

/** A world that tries use one after another. The longest try that works takes some seconds. */
export class Stage extends Kept<World> {
  constructor(kind: PoolKind, tries: Tries, options: Pick<DriverOptions, "env" | "args" | "initPools"> = {}) {
    super(tries, {
      tryMs: 60_000,
      make: (scratch) => World.make(kind, scratch, options),
      tell({ driver }) {
        const threads = driver.running ? whereabouts(driver.pid) : "it is dead";
        return `the driver's threads:\n${threads}\nits log:\n${lastOf(driver.log(), 12)}`;
      },
    });
  }
}
