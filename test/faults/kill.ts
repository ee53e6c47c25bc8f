/** Killed at every step: SIGKILL before the n-th system call of each kind, a new driver, the same call again, and all must be as promised. */
import assert from "node:assert/strict";
import { CsiError } from "../../src/csi/client.ts";
import { settled } from "./again.ts";
import { type Part, spread, type Tries } from "./frame/part.ts";
import { within } from "./frame/within.ts";
import type { Operation } from "./operations/operation.ts";
import type { PoolKind } from "./pools.ts";
import { Stage } from "./stage.ts";
import { nameOf, oneThread, type Point, pointOf, strike, watch } from "./strace.ts";
import { sweeps } from "./sweeps.ts";
import type { World } from "./world.ts";

/** Of a program that the driver starts, most steps are alike: so many are tried of each kind of call. */
const childSteps = 12;
const sampled = 3;

export const kill: readonly Part[] = sweeps("kill", 30, sweep);

async function sweep(pool: PoolKind, operation: Operation, tries: Tries): Promise<void> {
  const stage = new Stage(pool, tries, { env: oneThread });
  for (const point of await points(stage, operation, tries)) {
    await tries.try(nameOf(point), () => stage.with((world, name) => killAt(world, operation, point, name)));
  }
  await stage.end();
}

/** What there is to strike, found by watching the operation once with nothing broken. */
async function points(stage: Stage, operation: Operation, tries: Tries): Promise<Point[]> {
  if (tries.at !== undefined) return [pointOf(tries.at)];
  const found = await stage.with(async (world, name) => {
    const prepared = await operation.prepare(world, name);
    const all = await watch(world.driver.pid, () => prepared.act());
    await prepared.check();
    await prepared.undo();
    await world.expectEmpty();
    return all;
  });
  const unique = [...new Map(found.map((point) => [nameOf(point), point])).values()];
  if (tries.sample) return spread(unique, sampled, tries.seed);
  const own = unique.filter(({ role }) => role !== "child");
  const theirs = Map.groupBy(
    unique.filter(({ role }) => role === "child"),
    ({ name }) => name,
  );
  return [...own, ...[...theirs.values()].flatMap((steps) => spread(steps, childSteps, tries.seed))];
}

async function killAt(world: World, operation: Operation, point: Point, name: string): Promise<void> {
  const { driver } = world;
  const prepared = await operation.prepare(world, name);
  let answered: string | undefined;
  await strike(driver.pid, point, "signal=SIGKILL", async () => {
    try {
      answered = await within(20_000, prepared.act(), "the call that is struck");
    } catch (error) {
      // The child alone may have died: then the driver says so.
      if (driver.running && !(error instanceof CsiError)) throw error;
    }
  });
  await driver.kill();
  await driver.start();
  const seen = (await prepared.seen?.()) ?? [];
  const identity = await within(
    30_000,
    settled(() => prepared.act()),
    "the repeated call",
  );
  if (answered !== undefined) assert.equal(identity, answered, "the repeated call answers another identity");
  if (identity !== "") {
    const after = (await prepared.seen?.()) ?? [];
    for (const one of seen) assert.ok(after.includes(one), `${one} was seen after the restart, and is not there now`);
    assert.equal(after.filter((one) => one === identity).length, 1, "what was made is not listed once");
  }
  await prepared.check();
  await prepared.undo();
  await world.expectEmpty();
}
