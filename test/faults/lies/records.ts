/** Each record of the pool (docs/reference/pool-layout.md) with each damage in its place, and then the right one back. */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Part, spread, type Tries } from "../frame/part.ts";
import { type PoolKind, pools } from "../pools.ts";
import { Stage } from "../stage.ts";
import type { World } from "../world.ts";
import { type Bystanders, makeBystanders } from "./bystanders.ts";
import { clear, type Damage, fieldsOf, flips, texts, things } from "./damage.ts";
import { randomOf } from "./random.ts";
import { folderOf, Subject } from "./subject.ts";

interface RecordKind {
  readonly name: string;
  readonly on?: (pool: PoolKind) => boolean;
  /** Where it lies. */
  readonly at: (world: World, subject: Subject) => string;
  /** The same file of the bystander. */
  readonly foreign?: (world: World, bystander: string) => string;
  readonly sampled?: true;
  /** It is there only while the volume is in use. */
  readonly inUse?: boolean;
}

const node = Buffer.from("n1").toString("hex");
const keyOf = (world: World, name: string) => basename(folderOf(world, "volumes", name));

const kinds: readonly RecordKind[] = [
  {
    name: "volume",
    sampled: true,
    at: (_, subject) => join(subject.folder, "record.json"),
    foreign: (world, name) => join(folderOf(world, "volumes", name), "record.json"),
  },
  {
    name: "latch",
    on: (pool) => pool.backend === "image",
    at: (_, subject) => join(subject.folder, "latch.json"),
    foreign: (world, name) => join(folderOf(world, "volumes", name), "latch.json"),
  },
  {
    name: "snapshot",
    on: (pool) => pool.copies,
    at: (_, subject) => join(subject.snapshotFolder, "record.json"),
    foreign: (world, name) => join(folderOf(world, "volumes", name), "record.json"),
  },
  {
    name: "stage",
    inUse: true,
    at: (world, subject) => join(world.disk.path, "nodes", node, `${keyOf(world, subject.name)}.json`),
    foreign: (world, name) => join(world.disk.path, "nodes", node, `${keyOf(world, name)}.json`),
  },
  {
    name: "attachment",
    inUse: true,
    on: (pool) => pool.shared,
    at: (world, subject) => join(world.disk.path, "attachments", `${keyOf(world, subject.name)}.json`),
    foreign: (world, name) => join(world.disk.path, "attachments", `${keyOf(world, name)}.json`),
  },
  {
    name: "member",
    on: (pool) => pool.shared,
    at: (world) => join(world.disk.path, "members", `${node}.json`),
  },
];

/** Pools whose records or whose handling of them differ. */
const concerned = ["image", "image-block", "image-shared", "directory-btrfs", "directory-shared"];
const bits = 12;
/** On the first pool that has the record all damages are tried, on the others so many. */
const elsewhere = 10;

function homeOf(kind: RecordKind): string | undefined {
  return pools.find((pool) => concerned.includes(pool.name) && (kind.on?.(pool) ?? true))?.name;
}

export const records: readonly Part[] = pools
  .filter(({ name }) => concerned.includes(name))
  .flatMap((pool) =>
    kinds
      .filter((kind) => kind.on?.(pool) ?? true)
      .map((kind) => ({
        fault: "lies",
        pool: pool.name,
        operation: `record-${kind.name}`,
        sample: pool.name === homeOf(kind) && kind.sampled === true,
        seconds: pool.name === homeOf(kind) ? 120 : 30,
        run: (tries: Tries) => sweep(pool, kind, tries),
      })),
  );

async function sweep(pool: PoolKind, kind: RecordKind, tries: Tries): Promise<void> {
  const stage = new Stage(pool, tries);
  for (const damage of await damagesOf(stage, pool, kind, tries)) {
    await tries.try(damage.name, () => stage.with((world, name) => lieAbout(world, name, kind, damage, tries.seed)));
  }
  await stage.end();
}

async function damagesOf(stage: Stage, pool: PoolKind, kind: RecordKind, tries: Tries): Promise<readonly Damage[]> {
  // The fields are those of a real one.
  const fields = await stage.with((world, name) =>
    among(world, name, kind, async ({ path }) => fieldsOf(readFileSync(path))),
  );
  const all = [...texts, ...things, ...fields, ...flips(bits)];
  if (tries.sample) return spread(all, 2, tries.seed);
  return pool.name === homeOf(kind) || tries.at !== undefined ? all : spread(all, elsewhere, tries.seed);
}

interface Scene {
  readonly subject: Subject;
  readonly bystanders: Bystanders;
  readonly path: string;
}

async function among<T>(world: World, name: string, kind: RecordKind, work: (scene: Scene) => Promise<T>): Promise<T> {
  const bystanders = await makeBystanders(world, name);
  const subject = await Subject.make(world, `${name}-subject`);
  if (kind.inUse) await subject.take();
  const result = await work({ subject, bystanders, path: kind.at(world, subject) });
  await subject.expectBack();
  await subject.remove();
  await bystanders.leave();
  await world.expectEmpty();
  return result;
}

function lieAbout(world: World, name: string, kind: RecordKind, damage: Damage, seed: number): Promise<void> {
  return among(world, name, kind, async ({ subject, bystanders, path }) => {
    const { sentinel, volume } = bystanders;
    const foreign = kind.foreign?.(world, `${name}-bystander`);
    const copy = join(world.scratch.path, `copy-${volume.volumeId}`);
    copyFileSync(path, copy);
    const right = readFileSync(path);
    clear(path);
    damage.put(path, {
      right,
      foreign: foreign === undefined ? undefined : readFileSync(foreign),
      sentinel,
      copy,
      random: randomOf(seed, kind.name, damage.name),
    });
    await subject.ask();
    bystanders.expectUnharmed();
    if (!damage.fills) await bystanders.expectOthersGoOn();
    await world.driver.crash();
    await subject.ask();
    if (!damage.fills) await bystanders.expectOthersGoOn();
    bystanders.expectUnharmed();
    clear(path);
    writeFileSync(path, right, { mode: 0o600 });
  });
}
