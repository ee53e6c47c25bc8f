/** Killed at every step: SIGKILL before the n-th system call of each kind, a new driver, the same call again, and all must be as promised. */
import { CsiError } from "../../src/csi/client.ts";
import type { Driver } from "../support/driver.ts";
import { type Part, spread, type Tries } from "./frame/part.ts";
import { within } from "./frame/within.ts";
import type { Operation } from "./operations/operation.ts";
import type { PoolKind } from "./pools.ts";
import { Stage } from "./stage.ts";
import { nameOf, oneThread, type Point, pointOf, signal, stopAt, strike, watch } from "./strace.ts";
import { sweeps } from "./sweeps.ts";
import { expectWhole, unbroken } from "./verdict.ts";
import { descendants } from "./whereabouts.ts";
import type { World } from "./world.ts";

/** Of a program that the driver starts, most steps are alike: so many are tried of each kind of call. */
const childSteps = 12;
/** Of those, so many again with the driver dying at the same moment, and so many with the driver dying and the program going on. */
const sharedSteps = 3;
const sampled = 3;

/** Seconds of the operations that run programs, where volumes have file systems; of the others there are fewer steps. */
const longer: Readonly<Record<string, number>> = {
  "create-from-snapshot": 160,
  "create-from-volume": 140,
  "snapshot-in-use": 70,
  "stage-first": 90,
  "stage-grown": 110,
};

export const kill: readonly Part[] = sweeps("kill", secondsOf, sweep);

function secondsOf({ backend, use, disk }: PoolKind, operation: string): number {
  const long = backend === "image" && use !== "block" ? longer[operation] : undefined;
  // Without reflinks a copy is one of all bytes, each time again.
  return (long ?? 15) * (long !== undefined && disk === "ext4" ? 4 : 1);
}

async function sweep(pool: PoolKind, operation: Operation, tries: Tries): Promise<void> {
  const stage = new Stage(pool, tries, { env: oneThread });
  await eachPoint(stage, operation, tries, (world, point, name) => killAt(world, operation, point, name));
}

/**
 * Tries each point of the operation, or those in `roles`, and ends the stage. `strikeAt` answers whether it struck: else it came
 * too late.
 */
export async function eachPoint(
  stage: Stage,
  operation: Operation,
  tries: Tries,
  strikeAt: (world: World, point: Point, name: string) => Promise<boolean>,
  roles?: readonly Point["role"][],
): Promise<void> {
  for (const point of await points(stage, operation, tries)) {
    if (roles && !roles.includes(point.role)) continue;
    await tries.try(nameOf(point), async () => {
      const struck = await stage.with((world, name) => strikeAt(world, point, name));
      if (!struck) tries.missed();
    });
  }
  await stage.end();
}

/** What there is to strike, found by watching the operation once with nothing broken. */
async function points(stage: Stage, operation: Operation, tries: Tries): Promise<Point[]> {
  if (tries.at !== undefined) return tries.at.split(",").map(pointOf);
  const found = await stage.with((world, name) =>
    unbroken(world, operation, name, (prepared) => watch(world.driver.pid, () => prepared.act())),
  );
  const unique = [...new Map(found.map((point) => [nameOf(point), point])).values()];
  if (tries.sample) return spread(unique, sampled, tries.seed);
  const own = unique.filter(({ role }) => role !== "child");
  const kinds = Map.groupBy(
    unique.filter(({ role }) => role === "child"),
    ({ name }) => name,
  );
  const theirs = [...kinds.values()].flatMap((steps) => [
    ...spread(steps, childSteps, tries.seed),
    ...spread(steps, sharedSteps, tries.seed).map((point) => ({ ...point, role: "group" as const })),
    ...spread(steps, sharedSteps, tries.seed + 1).map((point) => ({ ...point, role: "orphan" as const })),
  ]);
  return [...own, ...theirs];
}

async function killAt(world: World, operation: Operation, point: Point, name: string): Promise<boolean> {
  const prepared = await operation.prepare(world, name);
  const { answered, struck } = await killedAt(world.driver, point, () => prepared.act());
  await world.driver.start();
  await expectWhole(world, prepared, answered, "restart");
  return struck;
}

/** The driver is dead when it returns. `answered` absent: nothing. */
export async function killedAt(
  driver: Driver,
  point: Point,
  act: () => Promise<string>,
): Promise<{ readonly answered: string | undefined; readonly struck: boolean }> {
  let answered: string | undefined;
  let struck = false;
  const call = async () => {
    try {
      answered = await within(20_000, act(), "the call that is struck");
    } catch (error) {
      // The child alone may have died: then the driver says so.
      if (driver.running && !(error instanceof CsiError)) throw error;
    }
  };
  if (point.role === "group" || point.role === "orphan") {
    struck = await stopAt(driver.pid, point, call, async (stopped) => {
      const all = point.role === "group" ? descendants(driver.pid) : [];
      signal(driver.pid, "SIGKILL");
      for (const each of all) signal(each, "SIGKILL");
      if (point.role === "orphan" && stopped !== driver.pid) signal(stopped, "SIGCONT");
      await driver.kill();
    });
  } else {
    struck = await strike(driver.pid, point, "signal=SIGKILL", call);
  }
  await driver.kill();
  return { answered, struck };
}
