/** A file system tool that takes its time: what others are told meanwhile, and what it may do after its driver died. */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { differences, holdsRaw, writeFiles, writeRaw } from "../support/content.ts";
import { startDriver } from "../support/driver.ts";
import { createVolume, patient, placeFor, refused, takeVolume } from "../support/orchestrator.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { type Scratch, scratchFor } from "../support/scratch.ts";

interface SlowTool {
  readonly standIns: Readonly<Record<string, string>>;
  /** Waits until it was started; answers its process. */
  started(): Promise<number>;
  /** Lets it, and every later one, do its work. */
  go(): void;
}

/** mkfs.ext4 that waits for the test before it does anything. */
function slowMkfs(scratch: Scratch): SlowTool {
  const real = join(scratch.path, "mkfs.ext4");
  const script = join(scratch.path, "slow-mkfs");
  const [pid, go] = [join(scratch.path, "started"), join(scratch.path, "go")];
  copyFileSync("/usr/sbin/mkfs.ext4", real);
  // When the scratch folder goes without a word, as after a test that was killed, it ends too: it would keep mounts alive.
  const wait = `echo $$ >${pid}.new; mv ${pid}.new ${pid}; until [ -e ${go} ] || [ ! -e ${script} ]; do sleep 0.02; done`;
  writeFileSync(script, `#!/bin/sh\n${wait}\nexec ${real} "$@"\n`, { mode: 0o755 });
  return {
    standIns: { [realpathSync("/usr/sbin/mkfs.ext4")]: script },
    async started() {
      for (let tries = 0; !existsSync(pid); tries += 1) {
        assert.ok(tries < 200, "mkfs was not started");
        await sleep(20);
      }
      return Number(readFileSync(pid, "utf8"));
    },
    go: () => writeFileSync(go, ""),
  };
}

async function gone(pid: number): Promise<void> {
  for (let tries = 0; existsSync(`/proc/${pid}`); tries += 1) {
    assert.ok(tries < 250, `process ${pid} still runs`);
    await sleep(20);
  }
}

test("ABORTED names the RPC, its step, its age and its child process; a repeated call joins it", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const mkfs = slowMkfs(scratch);
  const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`], apart: true, standIns: mkfs.standIns });
  const volume = await createVolume(driver, "slow");
  const other = await createVolume(driver, "other", { use: "xfs" });
  const place = placeFor(scratch, driver, volume);
  const first = place.take();
  const pid = await mkfs.started();
  const { volumeId } = volume;
  const words = new RegExp(`NodeStageVolume.*making.*mkfs\\.ext4.*${pid}.*since`, "s");
  await refused(driver.client.controller.deleteVolume({ volumeId }), "ABORTED", words);
  await refused(driver.client.controller.createSnapshot({ name: "s", sourceVolumeId: volumeId }), "ABORTED", words);
  await refused(driver.client.node.nodeUnstageVolume({ volumeId, stagingTargetPath: place.staging }), "ABORTED", words);
  // Others do not wait for it.
  const beside = await takeVolume(scratch, driver, other, { use: "xfs" });
  await beside.release();
  const second = place.take();
  await sleep(50);
  mkfs.go();
  await Promise.all([first, second]);
  await place.release();
  for (const each of [volume, other]) await driver.client.controller.deleteVolume({ volumeId: each.volumeId });
});

test("a caller that leaves ends the work that can be done again", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const mkfs = slowMkfs(scratch);
  const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`], apart: true, standIns: mkfs.standIns });
  const volume = await createVolume(driver, "left");
  const place = placeFor(scratch, driver, volume);
  const request = {
    volumeId: volume.volumeId,
    stagingTargetPath: place.staging,
    volumeCapability: { accessType: { case: "mount" as const, value: {} }, accessMode: { mode: 1 as const } },
  };
  await refused(driver.client.node.nodeStageVolume(request, { timeoutMs: 500 }), "DEADLINE_EXCEEDED");
  await gone(await mkfs.started());
  mkfs.go();
  await patient(() => place.take());
  await place.release();
  await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
});

test("a tool that outlived its driver touches its own volume only, which waits for it", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const mkfs = slowMkfs(scratch);
  const pools = [`p=image:${disk.path}`];
  const first = await startDriver(scratch, { pools, apart: true, standIns: mkfs.standIns });
  const volume = await createVolume(first, "orphaned");
  const lost = placeFor(scratch, first, volume)
    .take()
    .catch(() => undefined); // its driver dies
  const pid = await mkfs.started();
  await first.kill();
  await lost;
  assert.ok(existsSync(`/proc/${pid}`), "mkfs went with its driver, so this tests nothing");

  const driver = await startDriver(scratch, { pools });
  const victims = [];
  for (const name of ["a", "b", "c"]) {
    const other = await createVolume(driver, name, { use: "block" });
    const place = await takeVolume(scratch, driver, other, { use: "block" });
    writeRaw(place.target, name);
    victims.push({ name, other, place });
  }
  const place = placeFor(scratch, driver, volume);
  await refused(place.take(), ["FAILED_PRECONDITION", "ABORTED"]);
  mkfs.go();
  await gone(pid);
  for (const { name, other, place: at } of victims) {
    assert.ok(holdsRaw(at.target, name), `mkfs of another volume has formatted '${name}'`);
    await at.release();
    await driver.client.controller.deleteVolume({ volumeId: other.volumeId });
  }
  await patient(() => place.take());
  writeFiles(place.target, "kept", 3);
  assert.deepEqual(differences(place.target, "kept", 3), []);
  await place.release();
  await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
});

test("a device that another claims for a moment is tried again; one that stays claimed is an error", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const real = join(scratch.path, "mkfs.ext4");
  const script = join(scratch.path, "refusing-mkfs");
  const left = join(scratch.path, "left");
  copyFileSync("/usr/sbin/mkfs.ext4", real);
  const refuse = `echo x >>${left}.tried; echo "$9 is apparently in use by the system; will not make a filesystem here!" >&2; exit 1`;
  writeFileSync(
    script,
    `#!/bin/sh\nn=$(cat ${left}); [ $n -gt 0 ] && { echo $((n - 1)) >${left}; ${refuse}; }\nexec ${real} "$@"\n`,
    { mode: 0o755 },
  );
  const standIns = { [realpathSync("/usr/sbin/mkfs.ext4")]: script };
  const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`], apart: true, standIns });
  writeFileSync(left, "3");
  const place = placeFor(scratch, driver, await createVolume(driver, "claimed"));
  await place.take();
  assert.equal(readFileSync(`${left}.tried`, "utf8"), "x\n".repeat(3));
  await place.release();
  writeFileSync(left, "1000");
  const other = placeFor(scratch, driver, await createVolume(driver, "stays"));
  await refused(other.take(), "INTERNAL", /in use by the system/);
  writeFileSync(left, "0");
  await other.take();
  await other.release();
});
