/** A copy goes on when its caller left, and holds its name all the while, also against another process that starts. */
import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
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
