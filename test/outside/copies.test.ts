import assert from "node:assert/strict";
import { statfsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { differences, holdsRaw, writeFiles, writeRaw } from "../support/content.ts";
import { type Driver, startDriver } from "../support/driver.ts";
import { createSnapshot, createVolume, gib, refused, takeVolume, type Use } from "../support/orchestrator.ts";
import { type DiskKind, makePoolDisk } from "../support/pool-disk.ts";
import { makeScratch, type Scratch } from "../support/scratch.ts";

const uses: readonly Use[] = ["ext4", "xfs", "btrfs", "block"];
const disks: readonly DiskKind[] = ["xfs", "btrfs", "ext4"];

for (const kind of disks) {
  describe(`snapshots and clones of an image pool on ${kind}`, () => {
    let scratch: Scratch;
    let driver: Driver;
    before(async () => {
      scratch = makeScratch();
      const disk = await makePoolDisk(scratch, kind, { bytes: 24 * gib });
      driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`] });
    });
    after(() => scratch.end());

    // A raw volume cannot be frozen, so without reflinks it can only be copied while nobody has it.
    if (kind === "ext4") {
      test("block: a copy of a volume in use is refused with the reason, and made when it is not", async () => {
        const volume = await createVolume(driver, "raw", { use: "block" });
        const place = await takeVolume(scratch, driver, volume, { use: "block" });
        writeRaw(place.target, "raw");
        await refused(createSnapshot(driver, "raw-cut", volume.volumeId), "FAILED_PRECONDITION", /in use/);
        const clone = { use: "block", fromVolume: volume.volumeId } as const;
        await refused(createVolume(driver, "raw-clone", clone), "FAILED_PRECONDITION", /in use/);
        await place.release();
        const snapshotId = await createSnapshot(driver, "raw-cut", volume.volumeId);
        const restored = await createVolume(driver, "raw-restored", { use: "block", fromSnapshot: snapshotId });
        const restoredAt = await takeVolume(scratch, driver, restored, { use: "block" });
        assert.ok(holdsRaw(restoredAt.target, "raw"));
        await restoredAt.release();
        for (const { volumeId } of [restored, volume]) await driver.client.controller.deleteVolume({ volumeId });
        await driver.client.controller.deleteSnapshot({ snapshotId });
      });
    }

    for (const use of uses.filter((each) => each !== "block" || kind !== "ext4")) {
      test(`${use}: a snapshot of a volume in use, restored and cloned larger, all mounted side by side`, async () => {
        const bytes = gib / 2;
        const volume = await createVolume(driver, `source-${use}`, { use, bytes });
        const source = await takeVolume(scratch, driver, volume, { use });
        fill(use, source.target, "first");
        const snapshot = await createSnapshot(driver, `cut-${use}`, volume.volumeId);
        assert.equal(await createSnapshot(driver, `cut-${use}`, volume.volumeId), snapshot);
        fill(use, source.target, "second");

        const restored = await createVolume(driver, `restored-${use}`, {
          use,
          bytes: 2 * bytes,
          fromSnapshot: snapshot,
        });
        assert.equal(Number(restored.capacityBytes), 2 * bytes);
        assert.equal(restored.contentSource?.type.case, "snapshot");
        const clone = await createVolume(driver, `clone-${use}`, {
          use,
          bytes: 2 * bytes,
          fromVolume: volume.volumeId,
        });
        assert.equal(clone.contentSource?.type.case, "volume");
        const restoredAt = await takeVolume(scratch, driver, restored, { use });
        const cloneAt = await takeVolume(scratch, driver, clone, { use });

        check(use, source.target, "second");
        check(use, restoredAt.target, "first");
        if (use !== "block") assert.ok(differences(restoredAt.target, "second", 5).length === 5, "restored to before");
        check(use, cloneAt.target, "second");
        if (use !== "block") {
          for (const { target } of [restoredAt, cloneAt]) {
            assert.ok(
              sizeOf(target) > 1.5 * sizeOf(source.target),
              `${target}: the file system has grown with its volume`,
            );
          }
        }
        // Each writes on its own.
        fill(use, restoredAt.target, "third");
        fill(use, cloneAt.target, "fourth");
        check(use, restoredAt.target, "third");
        check(use, cloneAt.target, "fourth");
        check(use, source.target, "second");

        for (const place of [cloneAt, restoredAt, source]) await place.release();
        for (const { volumeId } of [volume, clone, restored]) await driver.client.controller.deleteVolume({ volumeId });
        // A snapshot outlives its source.
        const late = await createVolume(driver, `late-${use}`, { use, bytes, fromSnapshot: snapshot });
        const lateAt = await takeVolume(scratch, driver, late, { use });
        check(use, lateAt.target, "first");
        await lateAt.release();
        await driver.client.controller.deleteVolume({ volumeId: late.volumeId });
        await driver.client.controller.deleteSnapshot({ snapshotId: snapshot });
        await driver.client.controller.deleteSnapshot({ snapshotId: snapshot });
      });
    }

    test("what cannot be copied is refused, and nothing is made", async () => {
      const volume = await createVolume(driver, "small", { bytes: gib });
      const snapshot = await createSnapshot(driver, "small-cut", volume.volumeId);
      await refused(createVolume(driver, "less", { bytes: gib / 2, fromSnapshot: snapshot }), "OUT_OF_RANGE");
      await refused(createVolume(driver, "less", { bytes: gib / 2, fromVolume: volume.volumeId }), "OUT_OF_RANGE");
      await refused(createVolume(driver, "none", { fromSnapshot: "no-such-snapshot" }), "NOT_FOUND");
      await refused(createVolume(driver, "none", { fromVolume: "no-such-volume" }), "NOT_FOUND");
      await refused(createVolume(driver, "small", { fromSnapshot: snapshot }), "ALREADY_EXISTS");
      const other = await createVolume(driver, "other", { bytes: gib });
      await refused(createSnapshot(driver, "small-cut", other.volumeId), "ALREADY_EXISTS");
      const { entries } = await driver.client.controller.listVolumes({});
      assert.equal(entries.length, 2);
      for (const { volumeId } of [volume, other]) await driver.client.controller.deleteVolume({ volumeId });
      await driver.client.controller.deleteSnapshot({ snapshotId: snapshot });
    });
  });
}

function fill(use: Use, target: string, seed: string): void {
  if (use === "block") writeRaw(target, seed);
  else writeFiles(target, seed, 5);
}

function check(use: Use, target: string, seed: string): void {
  if (use === "block") assert.ok(holdsRaw(target, seed), `${target} does not hold '${seed}'`);
  else assert.deepEqual(differences(target, seed, 5), []);
}

function sizeOf(folder: string): number {
  const { blocks, bsize } = statfsSync(folder);
  return blocks * bsize;
}
