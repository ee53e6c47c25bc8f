/** Work that never rests and a driver that never lives long: in the end all data was right and nothing is left. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CsiError } from "../../src/csi/client.ts";
import { differences, holdsRaw, writeFiles, writeRaw } from "../support/content.ts";
import { startDriver } from "../support/driver.ts";
import { loopDevicesOf, mountsUnder } from "../support/leftovers.ts";
import { createSnapshot, createVolume, gib, placeFor, type Use } from "../support/orchestrator.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const stormMs = 8_000;
/** What an orchestrator calls again after: the driver may be away, or still at it. */
const maybe = ["UNAVAILABLE", "ABORTED", "CANCELLED", "DEADLINE_EXCEEDED"];

for (const kind of ["xfs", "ext4"] as const) {
  test(`six callers and a driver that is killed again and again, on ${kind}`, async (t) => {
    const scratch = scratchFor(t);
    const disk = await makePoolDisk(scratch, kind, { bytes: 32 * gib });
    const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`] });
    const until = Date.now() + stormMs;
    let lifecycles = 0;

    const sure = async <T>(call: () => Promise<T>): Promise<T> => {
      for (let tries = 0; ; tries += 1) {
        try {
          return await call();
        } catch (error) {
          if (tries === 600 || !(error instanceof CsiError) || !maybe.includes(error.code)) throw error;
          await sleep(50);
        }
      }
    };
    const uses: readonly Use[] = ["ext4", "xfs", "btrfs", "block", "ext4", "xfs"];
    const write = (use: Use, target: string, seed: string) =>
      use === "block" ? writeRaw(target, seed) : writeFiles(target, seed, 3);
    const check = (use: Use, target: string, seed: string) => {
      const wrong =
        use === "block" ? (holdsRaw(target, seed) ? [] : ["the device differs"]) : differences(target, seed, 3);
      assert.deepEqual(wrong, [], `${seed} at ${target}`);
    };
    const worker = async (use: Use, caller: number) => {
      for (let round = 0; Date.now() < until; round += 1) {
        const name = `${caller}-${round}`;
        const bytes = gib / 2;
        const volume = await sure(() => createVolume(driver, name, { use, bytes }));
        const place = placeFor(scratch, driver, volume, { use });
        await sure(() => place.take());
        write(use, place.target, name);
        await sure(() => place.release());
        const snapshotId = await sure(() => createSnapshot(driver, name, volume.volumeId));
        const copy = await sure(() =>
          createVolume(driver, `${name}-copy`, { use, bytes: 2 * bytes, fromSnapshot: snapshotId }),
        );
        await sure(() => place.take());
        const beside = placeFor(scratch, driver, copy, { use });
        await sure(() => beside.take());
        check(use, place.target, name);
        check(use, beside.target, name);
        for (const each of [beside, place]) await sure(() => each.release());
        for (const { volumeId } of [copy, volume])
          await sure(() => driver.client.controller.deleteVolume({ volumeId }));
        await sure(() => driver.client.controller.deleteSnapshot({ snapshotId }));
        lifecycles += 1;
      }
    };
    const work = Promise.all(uses.map(worker));
    let kills = 0;
    while (Date.now() < until) {
      await Promise.race([sleep(20 + Math.random() * 600), work]);
      await driver.crash();
      kills += 1;
    }
    await work;

    assert.ok(lifecycles >= uses.length, `${lifecycles} lifecycles`);
    assert.deepEqual((await driver.client.controller.listVolumes({})).entries, []);
    assert.deepEqual((await driver.client.controller.listSnapshots({})).entries, []);
    assert.equal(mountsUnder(scratch.path).length, 1);
    const devices = () => loopDevicesOf(scratch.path).filter(({ file }) => !file.endsWith("disk.raw"));
    const asides = () => ["building", "trash"].flatMap((folder) => readdirSync(join(disk.path, folder)));
    for (let tries = 0; tries < 100 && devices().length + asides().length > 0; tries += 1) await sleep(100);
    assert.deepEqual(devices(), []);
    assert.deepEqual(asides(), []);
    t.diagnostic(`${lifecycles} lifecycles, ${kills} kills`);
  });
}
