/**
 * Every call fails once: the n-th system call of each kind answers an error, or moves only a part. The answer must be clear
 * or the failure must not matter, the driver lives on, and the same call again gets through.
 */
import assert from "node:assert/strict";
import { type Part, spread, type Tries } from "../frame/part.ts";
import { within } from "../frame/within.ts";
import type { Operation } from "../operations/operation.ts";
import type { PoolKind } from "../pools.ts";
import { Stage } from "../stage.ts";
import { oneThread } from "../strace.ts";
import { sweeps } from "../sweeps.ts";
import { expectWhole, unbroken } from "../verdict.ts";
import type { World } from "../world.ts";
import { expectClear } from "./answers.ts";
import { Descriptors } from "./descriptors.ts";
import { type Injection, injectionOf, injections, nameOfInjection, strikeOnce } from "./injections.ts";
import { Preload } from "./preload.ts";

const sampledTries = 3;
/** The pool on which each failure is tried; on the others so many of an operation, and with each seed others. */
const wholly = "image";
const elsewhere = 16;
/** What `npm test` has time for; the kill sweep has each operation there. */
const sampled = ["create", "stage-first", "snapshot-in-use", "grow", "unstage"];

export const fail: readonly Part[] = sweeps("fail", ({ name }) => (name === wholly ? 30 : 8), sweep).map((part) => ({
  ...part,
  sample: part.sample && sampled.includes(part.operation),
}));

async function sweep(pool: PoolKind, operation: Operation, tries: Tries): Promise<void> {
  const steering = tries.scratch();
  const preload = new Preload(steering.path);
  steering.later(() => preload.end());
  const stage = new Stage(pool, tries, { env: { ...oneThread, ...preload.env } });
  try {
    let open: Descriptors | undefined;
    for (const injection of await chosen(stage, pool, operation, preload, tries)) {
      const held = await tries.try(nameOfInjection(injection), () =>
        stage.with(async (world, name) => {
          open ??= new Descriptors(world.driver.pid);
          if (!(await failAt(world, operation, preload, injection, name))) tries.missed();
        }),
      );
      if (!held) open = undefined;
    }
    if (open) await open.expectNoMore();
  } finally {
    await stage.end();
    await steering.end();
  }
}

async function chosen(
  stage: Stage,
  pool: PoolKind,
  operation: Operation,
  preload: Preload,
  tries: Tries,
): Promise<Injection[]> {
  if (tries.at !== undefined) return tries.at.split(",").map(injectionOf);
  const all = await stage.with((world, name) =>
    unbroken(world, operation, name, (prepared) => injections(world.driver.pid, preload, () => prepared.act())),
  );
  return spread(all, tries.sample ? sampledTries : pool.name === wholly ? all.length : elsewhere, tries.seed);
}

async function failAt(
  world: World,
  operation: Operation,
  preload: Preload,
  injection: Injection,
  name: string,
): Promise<boolean> {
  const prepared = await operation.prepare(world, name);
  const { driver } = world;
  let answered: string | undefined;
  let failure: unknown;
  const struck = await strikeOnce(driver.pid, preload, injection, async () => {
    try {
      answered = await within(20_000, prepared.act(), "the call in which one fails");
    } catch (error) {
      failure = error;
    }
  });
  assert.ok(driver.running, "the driver has died");
  if (failure !== undefined) expectClear(failure, injection.error, injection.where === "tool");
  await expectWhole(world, prepared, answered, "failure");
  return struck;
}
