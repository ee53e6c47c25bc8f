/** Paths of requests that lead elsewhere: swapped under the driver's hands, covered by mounts, or into the pool itself. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { mountsUnder } from "../../support/leftovers.ts";
import { capability } from "../../support/orchestrator.ts";
import { run } from "../../support/run.ts";
import { settled } from "../again.ts";
import type { Part, Tries } from "../frame/part.ts";
import { type PoolKind, pools } from "../pools.ts";
import { Stage } from "../stage.ts";
import type { World } from "../world.ts";
import { answered } from "./answers.ts";
import { type Bystanders, makeBystanders } from "./bystanders.ts";
import { folderOf, Subject } from "./subject.ts";

interface Trick {
  readonly name: string;
  readonly play: (
    world: World,
    name: string,
    subject: Subject,
    bystanders: Bystanders,
    rounds: number,
  ) => Promise<void>;
}

const concerned = ["image", "image-block", "directory", "directory-btrfs"];
const rounds = 60;

export const paths: readonly Part[] = pools
  .filter(({ name }) => concerned.includes(name))
  .map((pool) => ({
    fault: "lies",
    pool: pool.name,
    operation: "paths",
    sample: false,
    seconds: 30,
    run: (tries: Tries) => sweep(pool, tries),
  }));

async function sweep(pool: PoolKind, tries: Tries): Promise<void> {
  const stage = new Stage(pool, tries);
  for (const { name, play } of tricks) {
    await tries.try(name, () =>
      stage.with(async (world, label) => {
        const bystanders = await makeBystanders(world, label);
        const subject = await Subject.make(world, `${label}-subject`);
        await play(world, label, subject, bystanders, rounds);
        bystanders.expectUnharmed();
        await bystanders.expectOthersGoOn();
        await subject.expectBack();
        await subject.remove();
        await bystanders.leave();
        await world.expectEmpty();
      }),
    );
  }
  await stage.end();
}

/** All calls of a node with these places. Each is answered; what came about is taken back. Answers whether it was published. */
async function live(world: World, { volume }: Subject, staging: string, target: string): Promise<boolean> {
  const { node } = world.driver.client;
  const { volumeId, volumeContext } = volume;
  const at = { volumeId, volumeContext, stagingTargetPath: staging, volumeCapability: capability(world.kind.use) };
  const staged = await answered("stage", () => node.nodeStageVolume(at));
  const published = staged.done
    ? await answered("publish", () => node.nodePublishVolume({ ...at, targetPath: target }))
    : staged;
  await answered("stats", () => node.nodeGetVolumeStats({ volumeId, volumePath: target, stagingTargetPath: staging }));
  await answered("unpublish", () => node.nodeUnpublishVolume({ volumeId, targetPath: target }));
  await answered("unstage", () => node.nodeUnstageVolume({ volumeId, stagingTargetPath: staging }));
  return published.done;
}

/** Swaps a folder and a link to `elsewhere`, as fast as it can, on a thread of its own. */
function swapping(path: string, elsewhere: string): { end(): Promise<void> } {
  const steps = [
    [path, `${path}.real`],
    [`${path}.link`, path],
    [path, `${path}.link`],
    [`${path}.real`, path],
  ] as const;
  const code = `
    const { renameSync } = require("node:fs");
    const { parentPort, workerData: { steps, stop } } = require("node:worker_threads");
    const flag = new Int32Array(stop);
    let step = 0;
    while (Atomics.load(flag, 0) === 0) {
      try {
        renameSync(...steps[step % 4]);
        step += 1;
      } catch (error) {
        if (error.code !== "EBUSY") throw error;
      }
      if (step % 2 === 0) Atomics.wait(flag, 0, 0, Math.random());
    }
    parentPort.postMessage(step);`;
  const stop = new SharedArrayBuffer(4);
  symlinkSync(elsewhere, `${path}.link`);
  const worker = new Worker(code, { eval: true, workerData: { steps, stop } });
  const ended = Promise.race([
    once(worker, "message").then(([step]) => Number(step)),
    once(worker, "error").then(([error]) => Promise.reject(error instanceof Error ? error : new Error(String(error)))),
  ]);
  ended.catch(() => {}); // told by `end`
  return {
    async end() {
      Atomics.store(new Int32Array(stop), 0, 1);
      Atomics.notify(new Int32Array(stop), 0);
      for (let step = await ended; step % 4 !== 0; step += 1) {
        const [from = "", to = ""] = steps[step % 4] ?? [];
        // What was mounted on the folder when it had its other name is whoever's who renamed it.
        while (mountsUnder(from).includes(from)) await run("umount", [from]);
        renameSync(from, to);
      }
      rmSync(`${path}.link`);
    },
  };
}

/** A staging folder and the place for a target, in a folder of their own. */
function placesFor(
  world: World,
  name: string,
): { readonly folder: string; readonly staging: string; readonly target: string } {
  const folder = join(world.scratch.path, `paths-${name}`);
  const staging = join(folder, "staging");
  mkdirSync(staging, { recursive: true });
  return { folder, staging, target: join(folder, "target") };
}

const tricks: readonly Trick[] = [
  {
    name: "parent-of-the-target-swapped",
    async play(world, name, subject, { sentinel }, count) {
      const { folder, staging } = placesFor(world, name);
      const parent = join(folder, "pod");
      mkdirSync(parent);
      const swaps = swapping(parent, sentinel);
      for (let round = 0; round < count; round += 1) await live(world, subject, staging, join(parent, "empty"));
      await swaps.end();
      await letGo(world, subject, staging, [join(parent, "empty")]);
      assert.deepEqual(mountsUnder(sentinel), [], "something is mounted where a link led");
      rmSync(folder, { recursive: true });
    },
  },
  {
    name: "staging-swapped",
    async play(world, name, subject, { sentinel }, count) {
      const { folder, staging, target } = placesFor(world, name);
      const swaps = swapping(staging, join(sentinel, "empty"));
      for (let round = 0; round < count; round += 1) await live(world, subject, staging, target);
      await swaps.end();
      await letGo(world, subject, staging, [target]);
      assert.deepEqual(mountsUnder(sentinel), [], "something is mounted where a link led");
      rmSync(folder, { recursive: true });
    },
  },
  {
    name: "mounted-over-while-published",
    async play(world, name, subject) {
      const { folder, staging, target } = placesFor(world, name);
      const { node } = world.driver.client;
      const { volumeId, volumeContext } = subject.volume;
      const at = { volumeId, volumeContext, stagingTargetPath: staging, volumeCapability: capability(world.kind.use) };
      await node.nodeStageVolume(at);
      await node.nodePublishVolume({ ...at, targetPath: target });
      for (const place of world.kind.use === "block" ? [staging] : [target, staging]) {
        await run("mount", ["-t", "tmpfs", "none", place]);
        mkdirSync(join(place, "theirs"));
        await answered("unpublish", () => node.nodeUnpublishVolume({ volumeId, targetPath: target }));
        await answered("unstage", () => node.nodeUnstageVolume({ volumeId, stagingTargetPath: staging }));
        assert.deepEqual(readdirSync(place), ["theirs"], "somebody else's mount is gone");
        await run("umount", [place]);
      }
      await letGo(world, subject, staging, [target]);
      rmSync(folder, { recursive: true });
    },
  },
  {
    name: "into-the-pool",
    async play(world, name, subject, { volume }) {
      const { folder, staging, target } = placesFor(world, name);
      const victim = folderOf(world, "volumes", `${name}-bystander`);
      assert.ok(volume.volumeId !== subject.volume.volumeId);
      const within = ["", "volumes", "trash", "building", "locks", "nodes/new", "volumes/new", "holdfast.json"];
      const places = [
        ...within.map((each) => join(world.disk.path, each)),
        victim,
        join(victim, "data"),
        join(victim, "new"),
      ];
      const before = filesIn(world);
      for (const place of places) {
        assert.equal(await live(world, subject, staging, place), false, `it was published at ${place}`);
        assert.equal(await live(world, subject, place, target), false, `it was staged at ${place}`);
      }
      assert.deepEqual(mountsUnder(world.disk.path).slice(0, -1), [], "something is mounted in the pool");
      assert.deepEqual(filesIn(world), before, "the pool has other files");
      rmSync(folder, { recursive: true });
    },
  },
  {
    name: "linked-into-the-pool",
    async play(world, name, subject) {
      const { folder, staging, target } = placesFor(world, name);
      const victim = folderOf(world, "volumes", `${name}-bystander`);
      symlinkSync(victim, target);
      assert.equal(await live(world, subject, staging, target), false);
      assert.equal(await live(world, subject, staging, join(target, "new")), false);
      renameSync(staging, `${staging}.away`);
      symlinkSync(victim, staging);
      assert.equal(await live(world, subject, staging, join(folder, "other")), false);
      assert.deepEqual(mountsUnder(world.disk.path).slice(0, -1), [], "something is mounted in the pool");
      rmSync(folder, { recursive: true });
    },
  },
];

/** But for locks, which come and go. */
function filesIn(world: World): string[] {
  const all = readdirSync(world.disk.path, { recursive: true, encoding: "utf8" });
  return all.filter((entry) => !entry.startsWith("locks/")).sort();
}

/** Whatever a race left, taken back as an orchestrator does. */
async function letGo(world: World, { volume }: Subject, staging: string, targets: readonly string[]): Promise<void> {
  const { node } = world.driver.client;
  const { volumeId } = volume;
  await sleep(10);
  for (const targetPath of targets) await settled(() => node.nodeUnpublishVolume({ volumeId, targetPath }));
  await settled(() => node.nodeUnstageVolume({ volumeId, stagingTargetPath: staging }));
}
