/**
 * What a caller that left leaves behind: a copy goes on and holds its name all the while, also against another process that
 * starts; an unstage may stop half-way, and the volume can be used all the same.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { listMounts } from "../../src/host/mount-table.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { call, mebibyte, mounted, openRules, problem, type Rules } from "../support/rules.ts";
import { run } from "../support/run.ts";
import { scratchFor } from "../support/scratch.ts";

const size = 512 * mebibyte;

function clone(rules: Rules, from: string, required: number, signal?: AbortSignal) {
  const asked = {
    name: "b",
    capacity: { required },
    capabilities: [mounted],
    parameters: {},
    source: { volumeId: from },
  };
  return rules.driver.controller.create(asked, call("CreateVolume", signal));
}

test("while the clone of a caller that left is made, its name is held", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "ext4");
  const rules = await openRules(scratch, disk.path);
  const { id } = await rules.create("a", mounted, { size });
  await run("dd", [
    "if=/dev/urandom",
    `of=${join(rules.folderOf("a"), "data.img")}`,
    "bs=1M",
    "count=500",
    "conv=notrunc",
  ]);
  rules.setLatch("a", { state: "used" });
  const caller = new AbortController();
  const first = clone(rules, id, size, caller.signal);
  await sleep(30);
  caller.abort();
  await assert.rejects(first, problem("CALL_CANCELLED"));
  await assert.rejects(clone(rules, id, 2 * size), problem("OPERATION_RUNNING"));
  const other = await openRules(scratch, disk.path);
  other.driver.start();
  await sleep(50);
  assert.equal((await clone(rules, id, size)).capacity, size);
  await assert.rejects(clone(rules, id, 2 * size), problem("NAME_TAKEN"));
});

for (const kind of ["ext4", "xfs"] as const) {
  test(`a volume that an unstage left unmounted and open is cut as it is, on ${kind}; one that somebody has mounted is not`, async (t) => {
    const scratch = scratchFor(t);
    const disk = await makePoolDisk(scratch, kind);
    const rules = await openRules(scratch, disk.path);
    const { id } = await rules.create("a");
    const [staging, elsewhere] = [rules.folder("staging"), rules.folder("elsewhere")];
    await rules.stage(id, staging);
    writeFileSync(join(staging, "data"), "of a");
    const device = await sourceOf(staging);
    // The device goes with its last user, so somebody has it open meanwhile. What that mounts this process can't see, nor freeze.
    const within = `mount ${device} ${elsewhere} && echo mounted && read end`;
    const holding = `exec 3<${device} && umount ${staging} && echo open && read go && exec unshare --mount sh -c '${within}'`;
    const other = spawn("sh", ["-c", holding], { stdio: ["pipe", "pipe", "inherit"] });
    scratch.later(() => void other.kill());
    await once(other.stdout, "data");
    const { id: snapshotId } = await rules.snapshot("s", id);
    await clone(rules, id, 128 * mebibyte);
    other.stdin.write("\n");
    await once(other.stdout, "data");
    await assert.rejects(rules.snapshot("t", id), problem("SOURCE_NOT_READY"));
    const ended = once(other, "exit");
    other.stdin.end("\n");
    await ended;
    await rules.unstage(id, staging);
    const copy = await rules.create("c", mounted, { snapshot: snapshotId });
    await rules.stage(copy.id, staging);
    assert.equal(readFileSync(join(staging, "data"), "utf8"), "of a");
    await rules.unstage(copy.id, staging);
  });
}

async function sourceOf(target: string): Promise<string> {
  const line = (await listMounts()).find((each) => each.target === target);
  assert.ok(line, `nothing is mounted at ${target}`);
  return line.source;
}
