import type { DriverOptions } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { Kept, lastOf } from "./frame/kept.ts";
import type { Tries } from "./frame/part.ts";
import type { PoolKind } from "./pools.ts";
import { whereabouts } from "./whereabouts.ts";
import { World } from "./world.ts";

/** A world that tries use one after another. The longest try that works takes some seconds. */
export class Stage extends Kept<World> {
  /** `outer`: the pool's disk is a file on another disk, which can be cloned. */
  constructor(
    kind: PoolKind,
    tries: Tries,
    { outer, ...options }: Pick<DriverOptions, "env" | "args" | "initPools"> & { readonly outer?: true } = {},
  ) {
    super(tries, {
      tryMs: 60_000,
      make: async (scratch) => {
        const under = outer ? await makePoolDisk(scratch, "xfs", { bytes: 64 * 1024 ** 3 }) : undefined;
        return World.make(kind, scratch, { ...options, ...(under ? { under: under.path } : {}) });
      },
      tell({ driver }) {
        const threads = driver.running ? whereabouts(driver.pid) : "it is dead";
        return `the driver's threads:\n${threads}\nits log:\n${lastOf(driver.log(), 12)}`;
      },
    });
  }
}
