import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { leftoversOf, loopDevicesOf, mountsUnder } from "./leftovers.ts";
import { makePoolDisk } from "./pool-disk.ts";
import { run } from "./run.ts";
import { makeScratch } from "./scratch.ts";

test("a scratch folder goes with all that was made in it", async () => {
  const scratch = makeScratch();
  const [xfs, ext4] = await Promise.all([makePoolDisk(scratch, "xfs"), makePoolDisk(scratch, "ext4")]);
  assert.deepEqual(mountsUnder(scratch.path).sort(), [xfs.path, ext4.path].sort());
  writeFileSync(join(xfs.path, "a"), "a");
  await run("cp", ["--reflink=always", join(xfs.path, "a"), join(xfs.path, "b")]);
  await scratch.end();
  assert.equal(existsSync(scratch.path), false);
  assert.deepEqual(leftoversOf(scratch.path), []);
});

test("a forgotten process, mount and loop device are named, and removed all the same", async () => {
  const scratch = makeScratch();
  const file = join(scratch.path, "disk.raw");
  writeFileSync(file, "");
  truncateSync(file, 1024 ** 2);
  const device = (await run("losetup", ["--find", "--show", file])).trim();
  await run("mkdir", [join(scratch.path, "mnt")]);
  await run("mount", ["-t", "tmpfs", "none", join(scratch.path, "mnt")]);
  const child = spawn("sleep", ["60"], { env: { ...process.env, WHOSE: scratch.path }, stdio: "ignore" });
  await assert.rejects(scratch.end(), (error: Error) => {
    assert.match(error.message, new RegExp(`process ${child.pid} still runs: sleep 60`));
    assert.match(error.message, new RegExp(`still mounted: ${scratch.path}/mnt`));
    assert.match(error.message, new RegExp(`loop device ${device} still holds ${file}`));
    return true;
  });
  assert.deepEqual(leftoversOf(scratch.path), []);
  assert.equal(existsSync(scratch.path), false);
});

test("a device that keeps a pool's disk busy is taken away with it", async () => {
  const scratch = makeScratch();
  const disk = await makePoolDisk(scratch, "xfs");
  const file = join(disk.path, "data.img");
  writeFileSync(file, "");
  truncateSync(file, 1024 ** 2);
  const device = (await run("losetup", ["--find", "--show", file])).trim();
  await assert.rejects(scratch.end(), new RegExp(`loop device ${device} still holds ${file}`));
  assert.deepEqual(loopDevicesOf(scratch.path), []);
  assert.equal(existsSync(scratch.path), false);
});

test("all is undone, the latest first, also when one undoing fails", async () => {
  const scratch = makeScratch();
  const order: string[] = [];
  scratch.later(() => void order.push("first"));
  scratch.later(() => {
    throw new Error("second failed");
  });
  scratch.later(() => void order.push("third"));
  await assert.rejects(scratch.end(), /second failed/);
  assert.deepEqual(order, ["third", "first"]);
});
