/** A disk that stops answering: the pool's file system frozen, the disk below it, or a volume's own; and one that is full. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CsiError } from "../../../src/csi/client.ts";
import { differences, writeFiles } from "../../support/content.ts";
import type { Usage } from "../../support/orchestrator.ts";
import { attempt } from "../../support/run.ts";
import type { Part, Tries } from "../frame/part.ts";
import { expectWell, vitalsOf } from "../lies/vitals.ts";
import { Crowd } from "./crowd.ts";
import { House } from "./house.ts";
import { again, callsOf, expectUsualPace, impatient } from "./watch.ts";

interface Cause {
  readonly name: string;
  /** How many calls are made at once to volumes of the pool that is stuck, beside a few to the volumes in use. */
  readonly crowd: number;
  readonly sample?: true;
  /** Answers what ends it. */
  readonly begin: (house: House, used: Usage) => Promise<() => Promise<void>>;
}

const causes: readonly Cause[] = [
  { name: "pool-frozen", crowd: 3, begin: (house) => frozen(house.disk.path) },
  { name: "disk-stopped", crowd: 3, begin: (house) => frozen(house.outer.path) },
  { name: "disk-stopped-crowd", crowd: 48, sample: true, begin: (house) => frozen(house.outer.path) },
  { name: "pool-frozen-crowd", crowd: 48, begin: (house) => frozen(house.disk.path) },
  { name: "volume-frozen", crowd: 3, begin: (house, used) => frozen(house.seen(used.staging)) },
  { name: "pool-full", crowd: 3, begin: (house) => full(house.disk.path) },
];

export const stuckDisks: readonly Part[] = [
  {
    fault: "stuck",
    pool: "image",
    operation: "disk",
    sample: true,
    seconds: 120,
    run: async (tries: Tries) => {
      const within = async (name: string, work: (house: House) => Promise<void>) => {
        await tries.try(name, async () => {
          const scratch = tries.scratch();
          try {
            await work(await House.make(scratch, "xfs"));
          } finally {
            await scratch.end();
          }
        });
      };
      for (const cause of causes) {
        if (!tries.sample || cause.sample) await within(cause.name, (house) => stuck(house, cause));
      }
      if (!tries.sample) await within("start-on-a-stopped-disk", startStuck);
    },
  },
];

async function stuck(house: House, { crowd, begin }: Cause): Promise<void> {
  const { driver } = house;
  const { controller, node } = driver.client;
  const used = await house.create("p", "used");
  const place = house.placeFor(used);
  await place.take();
  writeFiles(house.seen(place.target), "used", 3);
  const idle = await house.create("p", "idle");
  await house.fill(idle, "idle");
  const other = await house.create("q", "other");
  await house.fill(other, "other");
  const paces = [() => house.paceOfUse(other, 5), () => house.pace("q", 5), () => house.crowdedPace("q", 8)];
  const usual: number[] = [];
  for (const pace of paces) usual.push(await pace());
  const expectUsual = async () => {
    for (const [at, pace] of paces.entries()) await expectUsualPace(pace, usual[at] ?? 0);
  };
  const before = vitalsOf(driver);
  const crowded = await Crowd.gather(house, crowd);
  const calls = callsOf(driver);
  const end = await begin(house, place);
  const outcomes: (string | undefined)[] = [];
  let held: CsiError | undefined;
  const staged = house.placeFor(idle);
  try {
    const all = [
      impatient((options) => controller.createSnapshot({ name: "s", sourceVolumeId: used.volumeId }, options)),
      impatient((options) => node.nodeUnpublishVolume({ volumeId: used.volumeId, targetPath: place.target }, options)),
      impatient((options) =>
        node.nodeStageVolume(
          {
            volumeId: idle.volumeId,
            stagingTargetPath: staged.staging,
            volumeCapability: { accessType: { case: "mount", value: { fsType: "ext4" } }, accessMode: { mode: 1 } },
          },
          options,
        ),
      ),
      impatient((options) => controller.listVolumes({}, options)),
      impatient((options) => controller.getCapacity({ parameters: { pool: "p" } }, options)),
      ...crowded.calls(),
    ];
    // While they wait, and after.
    await expectUsual();
    for (const outcome of await Promise.all(all)) outcomes.push(outcome?.code);
    await calls.expectInTime(outcomes.filter((code) => code === "DEADLINE_EXCEEDED").length);
    await expectUsual();
    held = await impatient((options) => controller.deleteVolume({ volumeId: idle.volumeId }, options));
    if (held?.code === "ABORTED") assert.match(held.message, /NodeStageVolume .*step '.* since .*ago\)/);
  } finally {
    await end();
  }
  // The cause is gone: all goes on by itself.
  await again(() => staged.release());
  await again(() => place.release());
  const back = house.placeFor(used);
  await again(() => back.take());
  assert.deepEqual(differences(house.seen(back.target), "used", 3), []);
  await again(() => back.release());
  for (const { snapshotId } of (await controller.listSnapshots({})).entries.flatMap(({ snapshot }) => snapshot ?? []))
    await again(() => controller.deleteSnapshot({ snapshotId }));
  await crowded.settle();
  const listed = (await controller.listVolumes({})).entries.map(({ volume }) => volume?.volumeId);
  assert.ok(listed.includes(used.volumeId), "a volume is gone");
  // One whose delete was not refused at once is on its way.
  if (held !== undefined && held.code !== "DEADLINE_EXCEEDED") await house.expectHolds(idle, "idle");
  for (const volume of [used, idle, other]) await house.remove(volume);
  await expectWell(driver, before);
}

/** A start goes on without the pool whose disk is silent; that one works when it answers. */
async function startStuck(house: House): Promise<void> {
  const { driver } = house;
  const { controller } = driver.client;
  const there = await house.create("p", "there");
  await driver.stop();
  const end = await frozen(house.outer.path);
  try {
    await driver.start();
    await house.remove(await house.create("q", "made"));
    const usual = await house.pace("q");
    assert.ok(usual < 2_000, `lives of volumes in the other pool take ${Math.round(usual)} ms`);
    const refused = await impatient((options) => controller.listVolumes({}, options));
    assert.match(`${refused?.code} ${refused?.message}`, /^UNAVAILABLE .*the pool 'p' did not answer/);
    assert.notEqual(
      await impatient((options) => controller.deleteVolume({ volumeId: there.volumeId }, options)),
      undefined,
    );
  } finally {
    await end();
  }
  await house.remove(there);
  assert.deepEqual((await controller.listVolumes({})).entries, []);
}

/** Frozen by a process that thaws at the end of its pipe: also when this one is killed. */
async function frozen(path: string): Promise<() => Promise<void>> {
  const script = `fsfreeze --freeze "$1" && echo frozen; cat >/dev/null; fsfreeze --unfreeze "$1"`;
  const child = spawn("/bin/sh", ["-c", script, "sh", path], {
    cwd: "/",
    stdio: ["pipe", "pipe", "inherit"],
    detached: true,
  });
  const exit = once(child, "exit");
  const said = await Promise.race([once(child.stdout, "data"), sleep(15_000)]);
  if (said === undefined) {
    child.stdin.end();
    throw new Error(`${path} did not freeze`);
  }
  return async () => {
    child.stdin.end();
    await exit;
  };
}

/** To the last block. */
async function full(path: string): Promise<() => Promise<void>> {
  const ballast = join(path, "ballast");
  await attempt("fallocate", ["-l", "11G", ballast]);
  await attempt("dd", ["if=/dev/zero", `of=${ballast}`, "bs=1M", "oflag=append", "conv=notrunc", "status=none"], {
    timeoutMs: 60_000,
  });
  return async () => rmSync(ballast, { force: true });
}
