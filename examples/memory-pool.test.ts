/** The example as an orchestrator meets it: the real driver, with the module as the backend of a pool. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { readFile, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { type CsiClient, CsiError } from "../src/csi/client.ts";
import { VolumeCapability_AccessMode_Mode as Mode } from "../src/csi/gen/csi_pb.ts";
import { startDriver } from "../test/support/driver.ts";
import { attempt, run } from "../test/support/run.ts";
import { type Scratch, scratchFor } from "../test/support/scratch.ts";

const module = join(import.meta.dirname, "memory-pool.ts");
const holdfast = join(import.meta.dirname, "../bin/holdfast");
const mib = 1024 * 1024;

const volumeCapability = {
  accessType: { case: "mount", value: {} },
  accessMode: { mode: Mode.SINGLE_NODE_WRITER },
} as const;

/** The driver over a pool in memory, and a volume of 16 MiB that is staged and published. */
async function published(scratch: Scratch, backend: string) {
  const pool = join(scratch.path, "pool");
  mkdirSync(pool);
  const driver = await startDriver(scratch, { pools: [`scratch=${backend}:${pool},swap=no`] });
  const paths = { stagingTargetPath: join(scratch.path, "staging"), targetPath: join(scratch.path, "target") };
  mkdirSync(paths.stagingTargetPath);
  const volumeId = await create(driver.client, "memory");
  const use = { volumeId, ...paths, volumeCapability };
  await driver.client.node.nodeStageVolume(use);
  await driver.client.node.nodePublishVolume(use);
  const end = async () => {
    await driver.client.node.nodeUnpublishVolume(use);
    await driver.client.node.nodeUnstageVolume(use);
    await driver.client.controller.deleteVolume({ volumeId });
  };
  return { ...paths, pool, driver, volumeId, use, end };
}

async function create(client: CsiClient, name: string): Promise<string> {
  const capacityRange = { requiredBytes: BigInt(16 * mib) };
  const { volume } = await client.controller.createVolume({
    name,
    capacityRange,
    volumeCapabilities: [volumeCapability],
  });
  assert.ok(volume);
  return volume.volumeId;
}

const refusal = (code: string, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof CsiError);
  assert.match(error.message, words);
  return error.code === code;
};

test("a pool in memory: a volume has its size, grows while it is used, and is gone when it is deleted", async (t) => {
  const { driver, targetPath, volumeId, end, use, pool } = await published(scratchFor(t), module);
  await assert.rejects(writeFile(join(targetPath, "large"), Buffer.alloc(20 * mib)), { code: "ENOSPC" });
  const capacityRange = { requiredBytes: BigInt(64 * mib) };
  await driver.client.controller.controllerExpandVolume({ volumeId, capacityRange, volumeCapability });
  await writeFile(join(targetPath, "large"), Buffer.alloc(20 * mib));
  const { bsize, blocks } = await statfs(targetPath);
  assert.equal(bsize * blocks, 64 * mib);
  await assert.rejects(
    driver.client.controller.deleteVolume({ volumeId }),
    refusal("FAILED_PRECONDITION", /VOLUME_IN_USE/),
  );
  await end();
  await driver.stop();
  assert.doesNotMatch(await readFile("/proc/self/mountinfo", "utf8"), new RegExp(pool));
  await driver.start();
  await assert.rejects(driver.client.node.nodeStageVolume(use), refusal("NOT_FOUND", /VOLUME_NOT_FOUND/));
});

test("the content outlives the driver's death, and an unstage", async (t) => {
  const { driver, targetPath, stagingTargetPath, use, end } = await published(scratchFor(t), module);
  await writeFile(join(targetPath, "kept"), "as it was");
  await driver.crash();
  await driver.client.node.nodeStageVolume(use);
  await driver.client.node.nodeUnpublishVolume(use);
  await driver.client.node.nodeUnstageVolume(use);
  await driver.client.node.nodeStageVolume(use);
  assert.equal(await readFile(join(stagingTargetPath, "kept"), "utf8"), "as it was");
  await end();
});

test("a volume that is mounted is not deleted, also when the node's note about it is lost", async (t) => {
  const { driver, pool, volumeId, end } = await published(scratchFor(t), module);
  rmSync(join(pool, "nodes"), { recursive: true });
  mkdirSync(join(pool, "nodes"));
  await assert.rejects(
    driver.client.controller.deleteVolume({ volumeId }),
    refusal("FAILED_PRECONDITION", /mounted at/),
  );
  await end();
});

test("after a reboot a volume says that its content is lost, and does not come back empty", async (t) => {
  const { driver, pool, volumeId, use, end } = await published(scratchFor(t), module);
  await driver.client.node.nodeUnpublishVolume(use);
  await driver.client.node.nodeUnstageVolume(use);
  const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n").map((line) => line.split(" ")[4] ?? "");
  const [data] = mounts.filter((path) => path.startsWith(pool));
  assert.ok(data);
  await run("umount", [data]); // what a reboot does to it
  await assert.rejects(driver.client.node.nodeStageVolume(use), refusal("DATA_LOSS", /in memory.*CONTENT_LOST/));
  await driver.client.controller.deleteVolume({ volumeId });
  await end();
});

test("an option that the backend does not take ends the start, with a message that names it", async (t) => {
  const scratch = scratchFor(t);
  const serve = (options: string) =>
    attempt(holdfast, ["serve", "--init-pools", "--endpoint", join(scratch.path, "s"), "--pool", options], {
      timeoutMs: 20_000,
    });
  const bad = await serve(`x=${module}:${scratch.path},swap=maybe`);
  assert.equal(bad.code, 2);
  assert.match(bad.stderr, /swap: 'maybe' is neither yes nor no/);
  const unknown = await serve(`x=${module}:${scratch.path},swop=no`);
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /swop/);
});

test("as the tutorial has it: the module in a folder of its own, beside an installed holdfast", async (t) => {
  const scratch = scratchFor(t);
  const folder = join(scratch.path, "my-pool");
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  // What npm makes of `npm install <a checkout of holdfast>`.
  symlinkSync(join(import.meta.dirname, ".."), join(folder, "node_modules/holdfast"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  cpSync(module, join(folder, "memory-pool.ts"));
  const { end } = await published(scratch, join(folder, "memory-pool.ts"));
  await end();
});
