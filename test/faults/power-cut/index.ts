/**
 * The power goes in the midst of a running load. Each image of the disk is mounted elsewhere, with a driver on it after
 * another boot, and all must be as promised. A device that acknowledges a flush and loses it is not covered: an image has
 * all that the file system wrote, flushed or not.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startDriver } from "../../support/driver.ts";
import { makePoolDisk, mountDisk } from "../../support/pool-disk.ts";
import type { Scratch } from "../../support/scratch.ts";
import { type Part, spread, type Tries } from "../frame/part.ts";
import { Random } from "../frame/random.ts";
import { within } from "../frame/within.ts";
import { type PoolKind, pools } from "../pools.ts";
import { poolArgument, World } from "../world.ts";
import { judge } from "./judge.ts";
import { type Cut, callers, cutsOf, type Instant, instantOf, nameOf } from "./load.ts";
import type { Kind } from "./moment.ts";

const gib = 1024 ** 3;
const tryMs = 60_000;

/** The pools of the table, and one whose disk is what none of the others' is. */
const cutPools: readonly PoolKind[] = [
  ...pools,
  {
    name: "image-on-btrfs",
    backend: "image",
    disk: "btrfs",
    use: "ext4",
    options: "",
    shared: false,
    copies: true,
    grows: true,
  },
];

export const powerCut: readonly Part[] = cutPools.map((pool) => ({
  fault: "power-cut",
  pool: pool.name,
  operation: "load",
  sample: pool.name === "image" || pool.name === "image-copied",
  seconds: 80,
  run: (tries: Tries) => run(pool, tries),
}));

async function run(pool: PoolKind, tries: Tries): Promise<void> {
  const scratch = tries.scratch();
  try {
    const outer = await makePoolDisk(scratch, "xfs", { bytes: 64 * gib });
    const world = await World.make(pool, scratch, { under: outer.path });
    const cuts = await cutsOf(world, tries.seed, instants(pool, tries), outer.path);
    await world.expectEmpty();
    await world.driver.stop();
    await world.disk.unmount();
    for (const cut of cuts) await tries.try(nameOf(cut.instant), () => tryOn(world, cut, tries.scratch()));
  } catch (error) {
    // What it left behind is the failure's.
    await scratch.end().catch(() => {});
    throw error;
  }
  await scratch.end();
}

/** Right after the answer of each kind of call, and in the midst of each, of one caller each. */
function instants(pool: PoolKind, tries: Tries): Instant[] {
  if (tries.at !== undefined) return tries.at.split(",").map(instantOf);
  const random = new Random(tries.seed, `power-cut ${pool.name}`);
  const one = (kind: Kind, at: Instant["at"]): Instant => ({
    kind,
    caller: random.below(callers),
    nth: 1 + random.below(tries.sample ? 1 : 3),
    at,
  });
  const kinds = kindsOf(pool);
  const after = kinds.map((kind) => one(kind, "after"));
  const midst = kinds.map((kind) => one(kind, random.below(100)));
  if (!tries.sample) return [...after, ...midst];
  // The pools of the sample share the kinds between them.
  const lasting = after.filter(({ kind }) => changing.includes(kind));
  return [...lasting.filter((_, at) => at % 2 === (pool.disk === "xfs" ? 0 : 1)), ...spread(midst, 2).slice(1)];
}

/** Those whose answer promises that something lasts. */
const changing: readonly Kind[] = [
  ...(["create", "stage-first", "write", "snapshot", "restore"] as const),
  ...(["clone", "delete-snapshot", "grow", "delete"] as const),
];

function kindsOf({ copies, grows, shared, backend }: PoolKind): Kind[] {
  return [
    "create",
    "stage-first",
    "write",
    ...(copies ? (["snapshot", "restore", "clone", "delete-snapshot"] as const) : []),
    ...(grows ? (["grow"] as const) : []),
    "delete",
    "publish",
    "unpublish",
    "unstage",
    ...(backend === "image" ? (["stage"] as const) : []),
    ...(shared ? (["attach", "detach"] as const) : []),
  ];
}

async function tryOn(world: World, { image, moment }: Cut, scratch: Scratch): Promise<void> {
  let log = () => "";
  try {
    const path = join(scratch.path, "pool");
    mkdirSync(path);
    const disk = await mountDisk(scratch, image, path);
    const boot = join(scratch.path, "boot");
    writeFileSync(boot, "2c1ba0ce-0000-4000-8000-00000000cafe\n");
    const driver = await startDriver(scratch, {
      pools: [poolArgument(world.kind, path)],
      initPools: false,
      apart: true,
      standIns: { "/proc/sys/kernel/random/boot_id": boot },
    });
    log = () => driver.log().trimEnd().split("\n").slice(-12).join("\n");
    await within(tryMs, judge(world.over(scratch, disk, driver), moment), "what came after the cut");
  } catch (error) {
    const known = JSON.stringify(
      moment.underWay.map(({ kind, volume, snapshot }) => [kind, volume?.name ?? snapshot?.name]),
    );
    const message = error instanceof Error ? error.message : String(error);
    await scratch.end().catch(() => {});
    throw new Error(`${message}\nunder way: ${known}\nthe driver's log:\n${log()}`, { cause: error });
  }
  await scratch.end();
}
