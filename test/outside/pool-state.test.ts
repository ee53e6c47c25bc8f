import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { CsiError } from "../../src/csi/client.ts";
import { differences, writeFiles } from "../support/content.ts";
import { holdfast, serveOnce, startDriver } from "../support/driver.ts";
import { createSnapshot, createVolume, gib, refused, takeVolume } from "../support/orchestrator.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { attempt, run } from "../support/run.ts";
import { scratchFor } from "../support/scratch.ts";

const unusable = ["UNAVAILABLE", "FAILED_PRECONDITION"];

describe("a pool that is not as it should be", () => {
  test("read-only: calls say so, what is there is still shown, and it works again when it is writable", async (t) => {
    const scratch = scratchFor(t);
    const disk = await makePoolDisk(scratch, "ext4");
    await run(holdfast, ["pool", "init", disk.path, "--backend", "image", "--node-id", "n1"]);
    const pools = [`p=image:${disk.path}`];
    const driver = await startDriver(scratch, { pools, initPools: false, mayBeUnready: true });
    const volume = await createVolume(driver, "there");
    // The driver keeps a file open for writing, so the kernel allows it only while it is away.
    await driver.stop();
    await run("mount", ["-o", "remount,ro", disk.path]);
    await driver.start();
    await refused(createVolume(driver, "new"), "UNAVAILABLE", /read-only|EROFS|not writable/i);
    await refused(createSnapshot(driver, "s", volume.volumeId), "UNAVAILABLE");
    await refused(driver.client.controller.deleteVolume({ volumeId: volume.volumeId }), "UNAVAILABLE");
    await run("mount", ["-o", "remount,rw", disk.path]);
    assert.equal((await createVolume(driver, "there")).volumeId, volume.volumeId);
    await createVolume(driver, "new");
  });

  test("full to the last block: a create fails whole, deletes give space back, then it goes on", async (t) => {
    const scratch = scratchFor(t);
    const disk = await makePoolDisk(scratch, "xfs", { bytes: gib });
    const driver = await startDriver(scratch, { pools: [`p=image:${disk.path},size=100Gi`] });
    const volume = await createVolume(driver, "there", { bytes: gib / 2 });
    const place = await takeVolume(scratch, driver, volume);
    const ballast = join(disk.path, "ballast");
    await attempt("dd", ["if=/dev/zero", `of=${ballast}`, "bs=1M", "status=none"]);
    for (let index = 0; index < 200; index += 1) {
      try {
        writeFileSync(join(disk.path, `small-${index}`), Buffer.alloc(4096));
      } catch {
        break; // not one more block
      }
    }
    const before = readdirSync(join(disk.path, "volumes")).length;
    const names = Array.from({ length: 40 }, (_, index) => `new-${index}`);
    const results = await Promise.allSettled(names.map((name) => createVolume(driver, name)));
    const errors = results.flatMap((result) => (result.status === "rejected" ? [result.reason as CsiError] : []));
    assert.ok(errors.length > 0, "the disk was not full");
    for (const error of errors) assert.equal(error.code, "RESOURCE_EXHAUSTED", error.message);
    assert.equal(readdirSync(join(disk.path, "volumes")).length, before + names.length - errors.length);
    await place.release();
    await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
    await run("rm", [ballast]);
    for (const name of names) await createVolume(driver, name);
    assert.equal((await driver.client.controller.listVolumes({})).entries.length, names.length);
  });

  test("made by a newer version: every call says so, and nothing in it is touched", async (t) => {
    const scratch = scratchFor(t);
    const pool = makeFolder(scratch.path, "pool");
    await run(holdfast, ["pool", "init", pool, "--backend", "image", "--node-id", "n1"]);
    const pools = [`p=image:${pool}`];
    const driver = await startDriver(scratch, { pools, initPools: false, mayBeUnready: true });
    await createVolume(driver, "there", { bytes: gib });
    await driver.stop();
    const marker = join(pool, "holdfast.json");
    const text = readFileSync(marker, "utf8");
    writeFileSync(marker, JSON.stringify({ ...(JSON.parse(text) as object), version: 999 }));
    await driver.start();
    await refused(createVolume(driver, "there", { bytes: gib }), unusable, /newer/);
    await driver.stop();
    writeFileSync(marker, text);
    await driver.start();
    assert.equal((await driver.client.controller.listVolumes({})).entries.length, 1);
  });

  test("a disk that is not mounted: no new pool on its mount point, and all is back when it is", async (t) => {
    const scratch = scratchFor(t);
    const disk = await makePoolDisk(scratch, "xfs");
    const first = await startDriver(scratch, { pools: [`p=image:${disk.path}`] });
    const volume = await createVolume(first, "there");
    const place = await takeVolume(scratch, first, volume);
    writeFiles(place.target, "kept", 3);
    await place.release();
    await first.stop();
    await disk.unmount();
    const driver = await startDriver(scratch, {
      pools: [`p=image:${disk.path}`],
      initPools: false,
      mayBeUnready: true,
    });
    await refused(createVolume(driver, "new"), "UNAVAILABLE", /marker|mount/);
    await refused(driver.client.controller.deleteVolume({ volumeId: volume.volumeId }), unusable);
    await refused(takeVolume(scratch, driver, volume), "UNAVAILABLE");
    assert.deepEqual(readdirSync(disk.path), [], "something was written below the mount point");
    await disk.mount();
    const back = await takeVolume(scratch, driver, volume);
    assert.deepEqual(differences(back.target, "kept", 3), []);
    await back.release();
    await driver.stop();
  });

  test("a folder that is missing, and two pools on one file system without a size: no start, exit code 2", async (t) => {
    const scratch = scratchFor(t);
    const serve = (...pools: string[]) => serveOnce(join(scratch.path, "csi.sock"), pools);
    const missing = await serve(`p=image:${scratch.path}/none`);
    assert.equal(missing.code, 2, missing.stderr);
    assert.match(missing.stderr + missing.stdout, /none/);
    const twins = await serve(`a=image:${makeFolder(scratch.path, "a")}`, `b=image:${makeFolder(scratch.path, "b")}`);
    assert.equal(twins.code, 2, twins.stderr);
    assert.match(twins.stderr + twins.stdout, /size/);
  });
});

describe("space", () => {
  test("no more is promised than the pool has, also by many at once, and deletion gives it back", async (t) => {
    const scratch = scratchFor(t);
    const disk = await makePoolDisk(scratch, "xfs");
    const driver = await startDriver(scratch, { pools: [`p=image:${disk.path},size=4Gi`] });
    const free = async () => Number((await driver.client.controller.getCapacity({})).availableCapacity);
    assert.equal(await free(), 4 * gib);
    const names = Array.from({ length: 12 }, (_, index) => `v${index}`);
    await Promise.allSettled(names.map((name) => createVolume(driver, name)));
    const { entries } = await driver.client.controller.listVolumes({});
    assert.ok(entries.length <= 4, `${entries.length} GiB are promised of 4`);
    // Those that met others on their way withdrew; alone they fit.
    const made = [];
    for (const name of names) {
      const volume = await createVolume(driver, name).catch(() => undefined);
      if (volume) made.push(volume);
    }
    assert.equal(made.length, 4);
    assert.equal(await free(), 0);
    await refused(createVolume(driver, "over"), "RESOURCE_EXHAUSTED", /\d/);
    await refused(createSnapshot(driver, "over", made[0]?.volumeId ?? ""), "RESOURCE_EXHAUSTED");
    await driver.client.controller.deleteVolume({ volumeId: made[3]?.volumeId ?? "" });
    await eventually(async () => assert.equal(await free(), gib));
    const snapshotId = await createSnapshot(driver, "fits", made[0]?.volumeId ?? "");
    assert.equal(await free(), 0, "a snapshot promises its source's size");
    await driver.client.controller.deleteSnapshot({ snapshotId });
    await eventually(async () => assert.equal(await free(), gib));
    await driver.crash();
    assert.equal(await free(), gib, "promises are read from the pool");
  });

  test("a thin pool gets back what a volume's file system frees", async (t) => {
    const scratch = scratchFor(t);
    for (const use of ["ext4", "xfs", "btrfs"] as const) {
      const disk = await makePoolDisk(scratch, "xfs", { bytes: 4 * gib });
      const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`] });
      const volume = await createVolume(driver, "thin", { use });
      assert.ok((await allocated(disk.path)) < gib / 16, "a new volume takes next to nothing");
      const place = await takeVolume(scratch, driver, volume, { use });
      const large = join(place.target, "large");
      await run("dd", ["if=/dev/urandom", `of=${large}`, "bs=1M", "count=400", "conv=fsync", "status=none"]);
      assert.ok((await allocated(disk.path)) > 390 * 1024 ** 2);
      await run("rm", [large]);
      await run("sync", ["-f", place.target]);
      await place.release();
      await eventually(async () => {
        const left = await allocated(disk.path);
        assert.ok(left < 200 * 1024 ** 2, `${use}: ${left} bytes are still allocated`);
      });
      await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
      await driver.stop();
      await disk.unmount();
    }
  });

  test("a thick pool reserves all of a volume and keeps it so, through mkfs, use, trim and clone", async (t) => {
    const scratch = scratchFor(t);
    for (const use of ["ext4", "xfs", "btrfs"] as const) {
      const disk = await makePoolDisk(scratch, "xfs", { bytes: 4 * gib });
      const driver = await startDriver(scratch, { pools: [`p=image:${disk.path},thick=true`] });
      const bytes = gib / 2;
      const whole = async (count: number, when: string) => {
        const now = await allocated(disk.path);
        assert.ok(now >= count * bytes, `${use}, ${when}: ${now} bytes are allocated for ${count} volumes of ${bytes}`);
      };
      const volume = await createVolume(driver, "thick", { use, bytes });
      await whole(1, "after create");
      const place = await takeVolume(scratch, driver, volume, { use });
      await whole(1, "after mkfs");
      writeFiles(place.target, "t");
      await run("sh", ["-c", `rm ${place.target}/t-1*; sync -f ${place.target}`]);
      await attempt("fstrim", [place.target]);
      await whole(1, "after trim");
      const clone = await createVolume(driver, "thick-clone", { use, bytes, fromVolume: volume.volumeId });
      const cloneAt = await takeVolume(scratch, driver, clone, { use });
      await whole(2, "after clone");
      await cloneAt.release();
      await place.release();
      await whole(2, "after unstage");
      for (const { volumeId } of [volume, clone]) await driver.client.controller.deleteVolume({ volumeId });
      await driver.stop();
      await disk.unmount();
    }
  });
});

async function allocated(folder: string): Promise<number> {
  await run("sync", ["-f", folder]);
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((entry) => statSync(join(folder, entry), { throwIfNoEntry: false }))
    .reduce((sum, stat) => sum + (stat?.isFile() ? stat.blocks * 512 : 0), 0);
}

async function eventually(check: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await check();
      return;
    } catch (error) {
      if (tries === 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function makeFolder(parent: string, name: string): string {
  const folder = join(parent, name);
  mkdirSync(folder);
  return folder;
}
