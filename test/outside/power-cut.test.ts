/**
 * What was answered is on the disk. The disk's file is cloned at the moment of an answer: the clone has what the file
 * system had written by then and nothing of what it still kept in memory, as after a power cut.
 */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { differences, holdsRaw, writeFiles, writeRaw } from "../support/content.ts";
import { type Driver, startDriver } from "../support/driver.ts";
import { createSnapshot, createVolume, gib, takeVolume } from "../support/orchestrator.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { run } from "../support/run.ts";
import { type Scratch, scratchFor } from "../support/scratch.ts";

const bytes = gib / 2;

for (const kind of ["xfs", "ext4"] as const) {
  test(`a power cut right after each answer, with the pool on ${kind}`, async (t) => {
    const scratch = scratchFor(t);
    const outer = await makePoolDisk(scratch, "xfs", { bytes: 64 * gib });
    const disk = await makePoolDisk(scratch, kind, { under: outer.path });
    const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`] });
    const cut = async (what: string, check: (after: Driver) => Promise<void>) => {
      const image = join(outer.path, `${what}.raw`);
      await run("cp", ["--reflink=always", disk.image, image]);
      await powerOn(scratch, image, kind, check);
    };

    const volume = await createVolume(driver, "v", { bytes });
    await cut("create", async (after) => {
      const { entries } = await after.client.controller.listVolumes({});
      assert.deepEqual(
        entries.map((entry) => entry.volume?.volumeId),
        [volume.volumeId],
      );
    });

    const place = await takeVolume(scratch, driver, volume);
    await cut("stage", async (after) => (await takeVolume(scratch, after, volume)).release());
    writeFiles(place.target, "kept", 5);
    await cut("write", async (after) => {
      const at = await takeVolume(scratch, after, volume);
      assert.deepEqual(differences(at.target, "kept", 5), []);
      await at.release();
    });

    const snapshotId = await createSnapshot(driver, "s", volume.volumeId);
    await cut("snapshot", async (after) => {
      const restored = await createVolume(after, "r", { bytes: 2 * bytes, fromSnapshot: snapshotId });
      const at = await takeVolume(scratch, after, restored);
      assert.deepEqual(differences(at.target, "kept", 5), []);
      await at.release();
    });

    const clone = await createVolume(driver, "c", { bytes, fromVolume: volume.volumeId });
    await cut("clone", async (after) => {
      const at = await takeVolume(scratch, after, clone);
      assert.deepEqual(differences(at.target, "kept", 5), []);
      await at.release();
    });

    await place.release();
    const capacityRange = { requiredBytes: BigInt(2 * bytes) };
    await driver.client.controller.controllerExpandVolume({ volumeId: volume.volumeId, capacityRange });
    await cut("expand", async (after) => {
      const { volume: grown } = await after.client.controller.controllerGetVolume({ volumeId: volume.volumeId });
      assert.equal(Number(grown?.capacityBytes), 2 * bytes);
      const at = await takeVolume(scratch, after, volume);
      assert.deepEqual(differences(at.target, "kept", 5), []);
      await at.release();
    });

    const raw = await createVolume(driver, "raw", { use: "block", bytes });
    const rawAt = await takeVolume(scratch, driver, raw, { use: "block" });
    writeRaw(rawAt.target, "raw");
    await cut("raw", async (after) => {
      const at = await takeVolume(scratch, after, raw, { use: "block" });
      assert.ok(holdsRaw(at.target, "raw"));
      await at.release();
    });
    await rawAt.release();

    await driver.client.controller.deleteSnapshot({ snapshotId });
    await cut("delete-snapshot", async (after) => {
      assert.deepEqual((await after.client.controller.listSnapshots({})).entries, []);
    });
    for (const { volumeId } of [volume, clone, raw]) await driver.client.controller.deleteVolume({ volumeId });
    await cut("delete", async (after) => {
      assert.deepEqual((await after.client.controller.listVolumes({})).entries, []);
    });
  });
}

/** Starts a driver on what the power cut left, and takes both away again. */
async function powerOn(scratch: Scratch, image: string, kind: string, check: (driver: Driver) => Promise<void>) {
  const pool = join(scratch.path, "after");
  mkdirSync(pool, { recursive: true });
  await run("mount", ["-o", kind === "xfs" ? "loop,nouuid" : "loop", image, pool]);
  const driver = await startDriver(scratch, { pools: [`p=image:${pool}`], initPools: false });
  // After a failure the scratch folder's end takes away what is left.
  await check(driver);
  const left = () => ["building", "trash"].flatMap((folder) => readdirSync(join(pool, folder)));
  for (let tries = 0; tries < 50 && left().length > 0; tries += 1) await sleep(100);
  assert.deepEqual(left(), [], "what the cut left half-made is not tidied");
  await driver.stop();
  await run("umount", [pool]);
  await run("rm", [image]);
}
