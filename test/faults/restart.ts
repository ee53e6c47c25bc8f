/** Killed while it recovers: a start on what a crash left half-done is killed at each of its own changes, then once more started. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type Part, spread, type Tries } from "./frame/part.ts";
import { operations } from "./operations/index.ts";
import type { Operation, Prepared } from "./operations/operation.ts";
import { type PoolKind, pools } from "./pools.ts";
import { Stage } from "./stage.ts";
import { dyingAt, launchWatched, nameOf, oneThread, type Point, pointOf, strike, watch } from "./strace.ts";
import { expectWhole, unbroken } from "./verdict.ts";
import type { World } from "./world.ts";

/** Where an operation is cut off so that a start has something to do, by the call that is not made any more. */
const cuts: Readonly<Record<string, RegExp>> = {
  create: /^renameat2\(/,
  delete: /^rmdir\(.*trash/,
  grow: /^rename\(.*record/,
  "snapshot-in-use": /^renameat2\(/,
  "stage-first": /^rename\(.*latch/,
  publish: /^move_mount\(|^mount\(/,
  unstage: /^umount2\(/,
};
const sampled = 3;

export const restart: readonly Part[] = pools.flatMap((pool, row) =>
  operations
    .filter(({ name, on }) => name in cuts && (on?.(pool) ?? true))
    .map((operation, column) => ({
      fault: "restart",
      pool: pool.name,
      operation: operation.name,
      sample: row === 0 && (column === 0 || operation.name === "snapshot-in-use"),
      seconds: pool.backend === "image" ? 55 : 35,
      run: (tries: Tries) => sweep(pool, operation, tries),
    })),
);

async function sweep(pool: PoolKind, operation: Operation, tries: Tries): Promise<void> {
  const stage = new Stage(pool, tries, { env: oneThread });
  const cut = await stage.with((world, name) => cutOf(world, operation, name));
  const points =
    tries.at !== undefined
      ? tries.at.split(",").map(pointOf)
      : await stage.with((world, name) => pointsOfStart(world, operation, cut, name));
  for (const point of tries.sample ? spread(points, sampled, tries.seed) : points) {
    await tries.try(nameOf(point), async () => {
      const struck = await stage.with((world, name) => killAt(world, operation, cut, point, name));
      if (!struck) tries.missed();
    });
  }
  await stage.end();
}

/** The step at which the operation is cut off; its last but one where none looks like that on this pool. */
async function cutOf(world: World, operation: Operation, name: string): Promise<Point> {
  const watched = await unbroken(world, operation, name, (prepared) => watch(world.driver.pid, () => prepared.act()));
  const all = watched.filter(({ role }) => role === "worker");
  const cut = all.find(({ text }) => cuts[operation.name]?.test(text)) ?? all.at(-2) ?? all.at(-1);
  if (!cut) throw new Error(`${operation.name} changes nothing that could be cut off`);
  return cut;
}

/** What a start changes in the pool after such a crash. */
async function pointsOfStart(world: World, operation: Operation, cut: Point, name: string): Promise<Point[]> {
  const prepared = await crash(world, operation, cut, name);
  const file = join(world.scratch.path, "start");
  const points = await launchWatched(file, world.disk.path, async (under) => {
    await world.driver.start([], under);
    // Recovery goes on behind the first answers.
    await world.expectReclaimed();
  });
  for (const folder of ["volumes", "snapshots"]) {
    const synced = points.some(({ name: call, text }) => call === "fsync" && text.includes(`/${folder}>`));
    assert.ok(
      synced,
      `the start did not sync ${folder}/, where a killed driver may have left a name that is not durable`,
    );
  }
  await world.driver.crash();
  await expectWhole(world, prepared, undefined, "restart");
  return points;
}

async function killAt(world: World, operation: Operation, cut: Point, point: Point, name: string): Promise<boolean> {
  const prepared = await crash(world, operation, cut, name);
  try {
    await world.driver.start([], dyingAt(point));
    await world.expectReclaimed();
  } catch (error) {
    if (world.driver.running) throw error;
  }
  const struck = !world.driver.running;
  await world.driver.kill();
  await world.driver.start();
  await expectWhole(world, prepared, undefined, "restart");
  return struck;
}

/** The operation cut off; the driver is dead then. */
async function crash(world: World, operation: Operation, cut: Point, name: string): Promise<Prepared> {
  const prepared = await operation.prepare(world, name);
  await strike(world.driver.pid, cut, "signal=SIGKILL", () => prepared.act().catch(() => {}));
  await world.driver.kill();
  return prepared;
}
