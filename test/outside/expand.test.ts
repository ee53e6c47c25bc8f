import assert from "node:assert/strict";
import { closeSync, fstatSync, openSync, readFileSync, statfsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { differences, holdsRaw, writeFiles, writeRaw } from "../support/content.ts";
import { type Driver, startDriver } from "../support/driver.ts";
import { createVolume, gib, refused, takeVolume, type Use } from "../support/orchestrator.ts";
import { type DiskKind, makePoolDisk } from "../support/pool-disk.ts";
import { makeScratch, type Scratch } from "../support/scratch.ts";

const uses: readonly Use[] = ["ext4", "xfs", "btrfs", "block"];
const disks: readonly DiskKind[] = ["xfs", "ext4"];

for (const kind of disks) {
  describe(`growth in an image pool on ${kind}`, () => {
    let scratch: Scratch;
    let driver: Driver;
    before(async () => {
      scratch = makeScratch();
      const disk = await makePoolDisk(scratch, kind, { bytes: 16 * gib });
      driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`] });
    });
    after(() => scratch.end());

    const grow = async (volumeId: string, bytes: number) =>
      driver.client.controller.controllerExpandVolume({ volumeId, capacityRange: { requiredBytes: BigInt(bytes) } });

    for (const use of uses) {
      test(`${use}: grown while it is not in use, it is larger at its next stage`, async () => {
        const volume = await createVolume(driver, `offline-${use}`, { use, bytes: gib / 2 });
        const before = await takeVolume(scratch, driver, volume, { use });
        fill(use, before.target);
        await before.release();
        const answer = await grow(volume.volumeId, gib);
        assert.equal(Number(answer.capacityBytes), gib);
        assert.equal(Number((await grow(volume.volumeId, gib)).capacityBytes), gib, "it may be repeated");
        assert.equal(Number((await grow(volume.volumeId, gib / 2)).capacityBytes), gib, "it never shrinks");
        const place = await takeVolume(scratch, driver, volume, { use });
        await expectSize(use, place.target, gib);
        check(use, place.target);
        await place.release();
        await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
      });

      test(`${use}: grown while it is mounted, or a clear message where the kernel forbids it`, async () => {
        const volume = await createVolume(driver, `online-${use}`, { use, bytes: gib / 2 });
        const place = await takeVolume(scratch, driver, volume, { use });
        fill(use, place.target);
        await grow(volume.volumeId, gib);
        const nodeExpand = () =>
          driver.client.node.nodeExpandVolume({
            volumeId: volume.volumeId,
            volumePath: place.target,
            stagingTargetPath: place.staging,
            capacityRange: { requiredBytes: BigInt(gib) },
          });
        if (use === "ext4" && !hasSysResource()) {
          await refused(nodeExpand(), "FAILED_PRECONDITION", /CAP_SYS_RESOURCE/);
          check(use, place.target);
          await place.release();
          await place.take();
        } else {
          assert.equal(Number((await nodeExpand()).capacityBytes), gib);
          assert.equal(Number((await nodeExpand()).capacityBytes), gib, "it may be repeated");
        }
        await expectSize(use, place.target, gib);
        check(use, place.target);
        await place.release();
        await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
      });
    }

    test("growth beyond the pool, or to no size, changes nothing", async () => {
      const volume = await createVolume(driver, "bounded", { bytes: gib / 2 });
      await refused(grow(volume.volumeId, 1000 * gib), "OUT_OF_RANGE", /GROWTH_TOO_LARGE/);
      await refused(driver.client.controller.controllerExpandVolume({ volumeId: volume.volumeId }), "INVALID_ARGUMENT");
      const asked = { requiredBytes: BigInt(2 * gib), limitBytes: BigInt(gib) };
      await refused(
        driver.client.controller.controllerExpandVolume({ volumeId: volume.volumeId, capacityRange: asked }),
        ["INVALID_ARGUMENT", "OUT_OF_RANGE"],
      );
      await refused(grow("no-such-volume", gib), "NOT_FOUND");
      const { volume: same } = await driver.client.controller.controllerGetVolume({ volumeId: volume.volumeId });
      assert.equal(Number(same?.capacityBytes), gib / 2);
      await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
    });
  });
}

function fill(use: Use, target: string): void {
  if (use === "block") writeRaw(target, "kept");
  else writeFiles(target, "kept");
}

function check(use: Use, target: string): void {
  if (use === "block") assert.ok(holdsRaw(target, "kept"));
  else assert.deepEqual(differences(target, "kept"), []);
}

async function expectSize(use: Use, target: string, bytes: number): Promise<void> {
  if (use === "block") {
    const file = openSync(target, "r");
    const { rdev } = fstatSync(file);
    closeSync(file);
    const sectors = readFileSync(`/sys/dev/block/${rdev >> 8}:${rdev & 255}/size`, "utf8");
    assert.equal(Number(sectors) * 512, bytes);
    return;
  }
  const { blocks, bsize } = statfsSync(target);
  assert.ok(blocks * bsize > 0.8 * bytes, `${target} has ${blocks * bsize} bytes of ${bytes}`);
}

/** Bit 24 of the effective capabilities (capabilities(7)). */
function hasSysResource(): boolean {
  const mask = /^CapEff:\s+([0-9a-f]+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return (BigInt(`0x${mask}`) >> 24n) % 2n === 1n;
}
