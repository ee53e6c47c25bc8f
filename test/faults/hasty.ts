/**
 * Killed at each of its own steps, and the same call sent again from the moment on at which the new driver can be reached:
 * what the start tidies and what it is asked meet. `kill` waits until that is done.
 */
import { settled } from "./again.ts";
import type { Part, Tries } from "./frame/part.ts";
import { eachPoint, killedAt } from "./kill.ts";
import type { Operation } from "./operations/operation.ts";
import type { PoolKind } from "./pools.ts";
import { Stage } from "./stage.ts";
import { oneThread, type Point } from "./strace.ts";
import { sweeps } from "./sweeps.ts";
import { expectWhole } from "./verdict.ts";
import type { World } from "./world.ts";

/** On one kind of pool each. */
const sampled = ["create-from-volume", "snapshot-in-use", "unstage"];

export const hasty: readonly Part[] = sweeps("hasty", () => 20, sweep).map((part) => ({
  ...part,
  sample: part.sample && sampled.includes(part.operation),
}));

async function sweep(pool: PoolKind, operation: Operation, tries: Tries): Promise<void> {
  const stage = new Stage(pool, tries, { env: oneThread });
  const strikeAt = (world: World, point: Point, name: string) => killAt(world, operation, point, name);
  await eachPoint(stage, operation, tries, strikeAt, ["worker", "main"]);
}

async function killAt(world: World, operation: Operation, point: Point, name: string): Promise<boolean> {
  const prepared = await operation.prepare(world, name);
  const { answered, struck } = await killedAt(world.driver, point, () => prepared.act());
  const repeated = settled(() => prepared.act());
  // Told when it is there.
  repeated.catch(() => undefined);
  await world.driver.start();
  await expectWhole(world, prepared, answered ?? (await repeated), "restart");
  return struck;
}
