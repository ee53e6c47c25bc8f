import type { Part, Tries } from "./frame/part.ts";
import { operations } from "./operations/index.ts";
import type { Operation } from "./operations/operation.ts";
import { type PoolKind, pools } from "./pools.ts";

/** A part for each operation on each pool that can do it. In the sample each operation is on one pool, each time another. */
export function sweeps(
  fault: string,
  seconds: (pool: PoolKind, operation: string) => number,
  run: (pool: PoolKind, operation: Operation, tries: Tries) => Promise<void>,
): Part[] {
  return operations.flatMap((operation, index) => {
    const able = pools.filter((pool) => operation.on?.(pool) ?? true);
    return able.map((pool, at) => ({
      fault,
      pool: pool.name,
      operation: operation.name,
      sample: at === (index + fault.length) % able.length,
      seconds: seconds(pool, operation.name),
      run: (tries: Tries) => run(pool, operation, tries),
    }));
  });
}
