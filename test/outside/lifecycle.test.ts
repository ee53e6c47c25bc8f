import assert from "node:assert/strict";
import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { VolumeUsage_Unit as Unit } from "../../src/csi/gen/csi_pb.ts";
import { differences, holdsRaw, writeFiles, writeRaw } from "../support/content.ts";
import { type Driver, startDriver } from "../support/driver.ts";
import { loopDevicesOf, mountsUnder } from "../support/leftovers.ts";
import {
  capability,
  createVolume,
  gib,
  Mode,
  placeFor,
  refused,
  takeVolume,
  type Use,
} from "../support/orchestrator.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { run } from "../support/run.ts";
import { makeScratch, type Scratch } from "../support/scratch.ts";

interface Case {
  readonly pool: "image" | "directory";
  readonly use: Use;
}

const cases: readonly Case[] = [
  { pool: "image", use: "ext4" },
  { pool: "image", use: "xfs" },
  { pool: "image", use: "btrfs" },
  { pool: "image", use: "block" },
  { pool: "directory", use: "directory" },
];

describe("a volume from create to delete", () => {
  let scratch: Scratch;
  let driver: Driver;
  before(async () => {
    scratch = makeScratch();
    const disk = await makePoolDisk(scratch, "xfs", { bytes: 16 * gib });
    const trees = await makePoolDisk(scratch, "xfs");
    driver = await startDriver(scratch, {
      pools: [`image=image:${disk.path}`, `directory=directory:${trees.path}`],
    });
  });
  after(() => scratch.end());

  for (const { pool, use } of cases) {
    const parameters = { pool };

    test(`${pool}, ${use}: every call may be repeated, and the content stays`, async () => {
      const volume = await createVolume(driver, `life-${use}`, { use, parameters });
      assert.equal(Number(volume.capacityBytes), gib);
      const again = await createVolume(driver, `life-${use}`, { use, parameters });
      assert.equal(again.volumeId, volume.volumeId);
      const place = await takeVolume(scratch, driver, volume, { use });
      await place.take();
      if (use === "block") {
        assert.ok(statSync(place.target).isBlockDevice(), "the target is a block device");
        writeRaw(place.target, "a");
        assert.ok(holdsRaw(place.target, "a"));
      } else {
        writeFiles(place.target, "a");
        assert.deepEqual(differences(place.target, "a"), []);
      }
      await place.release();
      await place.release();
      assert.equal(existsSync(place.target), false, "unpublish removes the target");
      assert.deepEqual(readdirSync(place.staging), []);
      const other = await takeVolume(scratch, driver, volume, { use });
      if (use === "block") assert.ok(holdsRaw(other.target, "a"));
      else assert.deepEqual(differences(other.target, "a"), []);
      await refused(driver.client.controller.deleteVolume({ volumeId: volume.volumeId }), "FAILED_PRECONDITION");
      await other.release();
      await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
      await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
      await refused(driver.client.controller.controllerGetVolume({ volumeId: volume.volumeId }), "NOT_FOUND");
    });

    test(`${pool}, ${use}: read-only is read-only, and one writer is one target`, async () => {
      const volume = await createVolume(driver, `modes-${use}`, { use, parameters });
      const place = await takeVolume(scratch, driver, volume, { use });
      const mode = Mode.SINGLE_NODE_WRITER;
      const second = {
        volumeId: volume.volumeId,
        volumeContext: volume.volumeContext,
        stagingTargetPath: place.staging,
        targetPath: `${place.target}-2`,
        volumeCapability: capability(use, mode),
      };
      await refused(driver.client.node.nodePublishVolume(second), "FAILED_PRECONDITION");
      await refused(
        driver.client.node.nodePublishVolume({ ...second, targetPath: place.target, readonly: true }),
        "ALREADY_EXISTS",
      );
      await driver.client.node.nodeUnpublishVolume({ volumeId: volume.volumeId, targetPath: place.target });
      await driver.client.node.nodePublishVolume({ ...second, readonly: true });
      if (use === "block") {
        assert.throws(() => writeRaw(second.targetPath, "x"), /EACCES|EPERM|EROFS/);
      } else {
        assert.throws(() => writeFileSync(join(second.targetPath, "x"), "x"), /EROFS/);
      }
      await driver.client.node.nodeUnpublishVolume({ volumeId: volume.volumeId, targetPath: second.targetPath });
      await place.release();
      await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
    });

    test(`${pool}, ${use}: several targets for one staged volume where the mode allows it`, async () => {
      const mode = Mode.SINGLE_NODE_MULTI_WRITER;
      const volume = await createVolume(driver, `multi-${use}`, { use, mode, parameters });
      const place = await takeVolume(scratch, driver, volume, { use, mode });
      const targets = ["2", "3"].map((name) => `${place.target}-${name}`);
      for (const targetPath of targets) {
        await driver.client.node.nodePublishVolume({
          volumeId: volume.volumeId,
          volumeContext: volume.volumeContext,
          stagingTargetPath: place.staging,
          targetPath,
          volumeCapability: capability(use, mode),
        });
      }
      if (use === "block") {
        writeRaw(place.target, "m");
        for (const target of targets) assert.ok(holdsRaw(target, "m"));
      } else {
        writeFiles(place.target, "m", 3);
        for (const target of targets) assert.deepEqual(differences(target, "m", 3), []);
      }
      for (const targetPath of targets) {
        await driver.client.node.nodeUnpublishVolume({ volumeId: volume.volumeId, targetPath });
      }
      await place.release();
      await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
    });

    test(`${pool}, ${use}: statistics`, async () => {
      const volume = await createVolume(driver, `stats-${use}`, { use, parameters });
      const place = await takeVolume(scratch, driver, volume, { use });
      const { usage } = await driver.client.node.nodeGetVolumeStats({
        volumeId: volume.volumeId,
        volumePath: place.target,
        stagingTargetPath: place.staging,
      });
      const bytes = usage.find(({ unit }) => unit === Unit.BYTES);
      assert.ok(bytes, "bytes are reported");
      if (use === "block") assert.equal(Number(bytes.total), gib);
      else if (pool === "image")
        assert.ok(Number(bytes.total) <= gib && Number(bytes.total) > gib / 2, `${bytes.total}`);
      if (use === "ext4" || use === "xfs") assert.ok(usage.some(({ unit }) => unit === Unit.INODES));
      await refused(
        driver.client.node.nodeGetVolumeStats({ volumeId: volume.volumeId, volumePath: `${place.target}/none` }),
        "NOT_FOUND",
      );
      if (use === "block") {
        // As a kubelet does: its own mount of what was published is what it asks about.
        const elsewhere = `${place.target}-elsewhere`;
        writeFileSync(elsewhere, "");
        await run("mount", ["--bind", place.target, elsewhere]);
        const there = await driver.client.node.nodeGetVolumeStats({ volumeId: volume.volumeId, volumePath: elsewhere });
        assert.equal(Number(there.usage[0]?.total), gib);
        await run("umount", [elsewhere]);
        await refused(
          driver.client.node.nodeGetVolumeStats({ volumeId: volume.volumeId, volumePath: elsewhere }),
          "NOT_FOUND",
        );
      }
      await place.release();
      await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
    });
  }

  test("sixteen volumes at once", async () => {
    const names = Array.from({ length: 16 }, (_, index) => `many-${index}`);
    await Promise.all(
      names.map(async (name) => {
        const volume = await createVolume(driver, name, { parameters: { pool: "image" }, bytes: gib / 4 });
        const place = placeFor(scratch, driver, volume);
        await place.take();
        writeFiles(place.target, name, 2);
        assert.deepEqual(differences(place.target, name, 2), []);
        await place.release();
        await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
      }),
    );
  });

  test("afterwards nothing is there: no volume, no mount, no loop device, no promise", async () => {
    assert.deepEqual((await driver.client.controller.listVolumes({})).entries, []);
    const pools = mountsUnder(scratch.path);
    assert.equal(pools.length, 2, pools.join("\n"));
    assert.deepEqual(
      loopDevicesOf(scratch.path).filter(({ file }) => !file.endsWith("disk.raw")),
      [],
    );
  });
});
