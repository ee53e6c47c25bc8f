/** Whoever still has a volume, wherever and unknown to the driver's notes, keeps it: nothing is taken from under them. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { mountsUnder } from "../support/leftovers.ts";
import { letGoOfOthers } from "../support/namespace.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { mebibyte, openRules, problem, raw } from "../support/rules.ts";
import { run } from "../support/run.ts";
import { type Scratch, scratchFor } from "../support/scratch.ts";

/** A mount namespace that has a copy of every mount of this test there is now. */
async function otherNamespace(scratch: Scratch): Promise<{ pid: number; end(): Promise<void> }> {
  const script = `${letGoOfOthers()}; echo ready; exec sleep 300`;
  const child = spawn("unshare", ["--mount", "--propagation", "private", "sh", "-c", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  };
  scratch.later(end);
  return { pid: child.pid ?? 0, end };
}

test("a volume that another mount namespace has mounted is not grown on a copy beside it", async (t) => {
  const scratch = scratchFor(t);
  const rules = await openRules(scratch, (await makePoolDisk(scratch, "xfs")).path);
  const { id } = await rules.create("a");
  const staging = rules.folder("s");
  await rules.stage(id, staging);
  const other = await otherNamespace(scratch);
  await assert.rejects(rules.unstage(id, staging), problem("VOLUME_IN_USE"));
  await rules.expand(id, 128 * mebibyte);
  await assert.rejects(rules.stage(id, staging), problem("VOLUME_IN_USE"));
  await run("nsenter", ["-t", String(other.pid), "-m", "sh", "-c", `echo late >'${staging}/late'; sync`]);
  await other.end();
  await rules.stage(id, staging);
  assert.equal(readFileSync(join(staging, "late"), "utf8"), "late\n");
  await rules.unstage(id, staging);
});

test("a raw device stays while it is published, also when the node's note of it is lost", async (t) => {
  const scratch = scratchFor(t);
  const rules = await openRules(scratch, (await makePoolDisk(scratch, "xfs")).path);
  const { id } = await rules.create("a", raw);
  const staging = rules.folder("s");
  const target = join(rules.folder("t"), "block");
  await rules.stage(id, staging, raw);
  await rules.publish(id, staging, target, raw);
  for (const record of rules.recordsOf()) rmSync(record);
  await assert.rejects(rules.unstage(id, staging), problem("VOLUME_IN_USE"));
  await assert.rejects(rules.remove(id), problem("VOLUME_IN_USE"));
  writeFileSync(target, "still ours");
  await rules.unpublish(id, target);
  await rules.unstage(id, staging);
  assert.equal(
    readFileSync(join(rules.folderOf("a"), "data.img"))
      .subarray(0, 10)
      .toString(),
    "still ours",
  );
});

for (const kind of ["ext4", "btrfs"] as const) {
  test(`a directory on ${kind} stays while it is published, also when the node's note of it is lost`, async (t) => {
    const scratch = scratchFor(t);
    const rules = await openRules(scratch, (await makePoolDisk(scratch, kind)).path, { backend: "directory" });
    const { id } = await rules.create("a");
    const staging = rules.folder("s");
    const target = join(rules.folder("t"), "m");
    await rules.stage(id, staging);
    await rules.publish(id, staging, target);
    writeFileSync(join(target, "data"), "precious");
    for (const record of rules.recordsOf()) rmSync(record);
    await assert.rejects(rules.remove(id), problem("VOLUME_IN_USE"));
    await assert.rejects(rules.unstage(id, staging), problem("VOLUME_IN_USE"));
    assert.equal(readFileSync(join(target, "data"), "utf8"), "precious");
    await rules.unpublish(id, target);
    await rules.unstage(id, staging);
    await rules.remove(id);
  });

  test(`what a user mounts inside a directory volume on ${kind} does not reach the pool and is not deleted`, async (t) => {
    const scratch = scratchFor(t);
    const disk = await makePoolDisk(scratch, kind);
    await run("mount", ["--make-shared", disk.path]);
    const rules = await openRules(scratch, disk.path, { backend: "directory" });
    const { id } = await rules.create("a");
    const staging = rules.folder("s");
    const target = join(rules.folder("t"), "m");
    await rules.stage(id, staging);
    await rules.publish(id, staging, target);
    const foreign = rules.folder("foreign");
    writeFileSync(join(foreign, "data"), "precious");
    const inside = join(target, "inside");
    mkdirSync(inside);
    await run("mount", ["--bind", foreign, inside]);
    await assert.rejects(rules.unpublish(id, target), problem("VOLUME_IN_USE"));
    await run("umount", [inside]);
    // And one that somebody made in the pool itself.
    const within = join(rules.folderOf("a"), "data", "inside");
    await run("mount", ["--bind", foreign, within]);
    scratch.later(async () => {
      for (const path of mountsUnder(disk.path).filter((each) => each !== disk.path)) await run("umount", [path]);
    });
    await rules.unpublish(id, target);
    await rules.unstage(id, staging);
    await rules.remove(id).catch(() => undefined);
    await rules.driver.stop(1000);
    assert.equal(readFileSync(join(foreign, "data"), "utf8"), "precious");
  });
}

test("a volume whose file was removed under its mount is unpublished and unstaged, and lost only then", async (t) => {
  const scratch = scratchFor(t);
  const rules = await openRules(scratch, (await makePoolDisk(scratch, "xfs")).path);
  const { id } = await rules.create("a");
  const staging = rules.folder("s");
  const target = join(rules.folder("t"), "m");
  await rules.stage(id, staging);
  await rules.publish(id, staging, target);
  rmSync(join(rules.folderOf("a"), "data.img"));
  await assert.rejects(rules.snapshot("s", id), problem("CONTENT_LOST"));
  await rules.unpublish(id, target);
  await rules.unstage(id, staging);
  assert.deepEqual(mountsUnder(scratch.path), [rules.pool]);
  await assert.rejects(rules.stage(id, staging), problem("CONTENT_LOST"));
  await rules.remove(id);
});
