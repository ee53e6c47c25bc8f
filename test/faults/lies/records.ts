/** Each record of the pool (docs/reference/pool-layout.md) with each damage in its place, and then the right one back. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Part, spread, type Tries } from "../frame/part.ts";
import { type PoolKind, pools } from "../pools.ts";
import { Stage } from "../stage.ts";
import type { World } from "../world.ts";
import { type Bystanders, makeBystanders } from "./bystanders.ts";
import { clear, type Damage, fieldsOf, flips, texts, things, wordless } from "./damage.ts";
import { Halfway } from "./halfway.ts";
import { kinds, type RecordKind } from "./kinds.ts";
import { randomOf } from "./random.ts";
import { Subject } from "./subject.ts";

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
  const stage = new Stage(pool, tries, { initPools: "first" });
  for (const damage of await damagesOf(stage, pool, kind, tries)) {
    await tries.try(damage.name, () => stage.with((world, name) => lieAbout(world, name, kind, damage, tries.seed)));
  }
  await stage.end();
}

async function damagesOf(stage: Stage, pool: PoolKind, kind: RecordKind, tries: Tries): Promise<readonly Damage[]> {
  const all = kind.words ? [...wordless, ...things] : [...texts, ...things, ...flips(bits)];
  // The fields are those of a real one.
  if (!kind.words)
    all.push(...(await stage.with((world, name) => among(world, name, kind, async ({ right }) => fieldsOf(right)))));
  if (tries.sample) return spread(all, 2, tries.seed);
  return pool.name === homeOf(kind) || tries.at !== undefined ? all : spread(all, elsewhere, tries.seed);
}

interface Scene {
  readonly subject: Subject;
  readonly bystanders: Bystanders;
  readonly path: string;
  /** Empty where nothing need be. */
  readonly right: Buffer;
}

/** The record is at its place, or another is, while `work` runs; then the right one is, and all must be as ever. */
async function among<T>(world: World, name: string, kind: RecordKind, work: (scene: Scene) => Promise<T>): Promise<T> {
  const bystanders = await makeBystanders(world, name);
  const subject = await Subject.make(world, `${name}-subject`);
  if (kind.inUse) await subject.take();
  const path = kind.at(world, subject);
  const right = kind.right?.(world, subject) ?? (existsSync(path) ? readFileSync(path) : "");
  const result = await work({ subject, bystanders, path, right: Buffer.from(right) });
  clear(path);
  if (!kind.words) writeFileSync(path, right, { mode: 0o600 });
  if (kind.whole || kind.atStart) await world.driver.crash();
  await kind.leave?.(world, subject, path);
  await subject.expectBack();
  await subject.remove();
  await bystanders.leave();
  await world.expectEmpty();
  return result;
}

function lieAbout(world: World, name: string, kind: RecordKind, damage: Damage, seed: number): Promise<void> {
  return among(world, name, kind, async ({ subject, bystanders, path, right }) => {
    const { sentinel, volume } = bystanders;
    const { driver } = world;
    const foreign = kind.foreign?.(world, `${name}-bystander`);
    const copy = join(world.scratch.path, `copy-${volume.volumeId}`);
    writeFileSync(copy, right);
    const halfway = kind.whole ? undefined : await Halfway.make(world, `${name}-halfway`);
    const othersGoOn = () => (damage.fills || kind.whole ? undefined : bystanders.expectOthersGoOn());
    clear(path);
    damage.put(path, {
      right,
      foreign: foreign === undefined ? undefined : readFileSync(foreign),
      sentinel,
      copy,
      random: randomOf(seed, kind.name, damage.name),
    });
    if (!kind.atStart) {
      await subject.ask();
      bystanders.expectUnharmed();
      await othersGoOn();
    }
    await driver.kill();
    halfway?.cutShort();
    await driver.start([], [], kind.whole);
    await subject.ask();
    await othersGoOn();
    await halfway?.expectUndone();
    bystanders.expectUnharmed();
    await halfway?.leave();
    if (!damage.fills) return;
    // What is promised is summed at a start: nobody but the driver writes records.
    clear(path);
    writeFileSync(path, right, { mode: 0o600 });
    await driver.crash();
  });
}
