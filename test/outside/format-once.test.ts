/** A volume that was formatted or used once is never formatted again, whatever became of its latch and its bytes. */
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { makePoolDisk } from "../support/pool-disk.ts";
import { mebibyte, mounted, openRules, problem, raw } from "../support/rules.ts";
import { scratchFor } from "../support/scratch.ts";

test("a volume whose latch is gone and whose file system is not is refused, not formatted", async (t) => {
  const scratch = scratchFor(t);
  const rules = await openRules(scratch, (await makePoolDisk(scratch, "xfs")).path);
  const { id } = await rules.create("a");
  const staging = rules.folder("s");
  await rules.stage(id, staging);
  writeFileSync(join(staging, "data"), "precious");
  await rules.unstage(id, staging);
  const latch = join(rules.folderOf("a"), "latch.json");
  const text = readFileSync(latch);
  rmSync(latch);
  await assert.rejects(rules.stage(id, staging), problem("CONTENT_LOST"));
  writeFileSync(latch, text);
  await rules.stage(id, staging);
  assert.equal(readFileSync(join(staging, "data"), "utf8"), "precious");
  await rules.unstage(id, staging);
});

test("a volume with bytes that no tool knows behind a blank latch is not formatted", async (t) => {
  const scratch = scratchFor(t);
  const rules = await openRules(scratch, (await makePoolDisk(scratch, "xfs")).path);
  const { id } = await rules.create("a");
  const fd = openSync(join(rules.folderOf("a"), "data.img"), "r+");
  writeSync(fd, "a database's own format", 8192);
  closeSync(fd);
  await assert.rejects(rules.stage(id, rules.folder("s")), problem("CONTENT_LOST"));
});

test("a copy of a half-made file system is formatted at its first stage, as the source would be", async (t) => {
  const scratch = scratchFor(t);
  const rules = await openRules(scratch, (await makePoolDisk(scratch, "xfs")).path);
  const { id } = await rules.create("a");
  const staging = rules.folder("s");
  await rules.stage(id, staging);
  await rules.unstage(id, staging);
  rules.setLatch("a", { state: "formatting", fsType: "ext4" });
  const snapshot = await rules.snapshot("snap", id);
  const copy = await rules.create("b", mounted, { snapshot: snapshot.id });
  assert.equal(rules.latch("b").state, "formatting");
  await rules.stage(copy.id, staging);
  await rules.unstage(copy.id, staging);
});

test("a raw volume is marked as used before it is published, also when the stage was cut short by a crash", async (t) => {
  const scratch = scratchFor(t);
  const rules = await openRules(scratch, (await makePoolDisk(scratch, "xfs")).path);
  const { id } = await rules.create("a", raw);
  const staging = rules.folder("s");
  await rules.stage(id, staging, raw);
  // As after a kill between the open and the latch: the device is there, the note says opening, the latch is blank.
  rmSync(join(rules.folderOf("a"), "latch.json"));
  const [record = ""] = rules.recordsOf();
  writeFileSync(record, readFileSync(record, "utf8").replace('"staged"', '"opening"'));
  await rules.stage(id, staging, raw);
  const target = join(rules.folder("t"), "block");
  await rules.publish(id, staging, target, raw);
  assert.equal(rules.latch("a").state, "used");
  await rules.unpublish(id, target);
  await rules.unstage(id, staging);
});

test("a raw copy of a formatted volume is its user's: what is written over its file system is no loss", async (t) => {
  const scratch = scratchFor(t);
  const rules = await openRules(scratch, (await makePoolDisk(scratch, "xfs")).path);
  const { id } = await rules.create("a");
  const staging = rules.folder("s");
  await rules.stage(id, staging);
  await rules.unstage(id, staging);
  const snapshot = await rules.snapshot("one", id);
  const copy = await rules.create("b", raw, { snapshot: snapshot.id });
  await rules.stage(copy.id, staging, raw);
  const target = join(rules.folder("t"), "block");
  await rules.publish(copy.id, staging, target, raw);
  writeFileSync(target, Buffer.alloc(mebibyte, "x"));
  await rules.unpublish(copy.id, target);
  await rules.unstage(copy.id, staging);
  const second = await rules.snapshot("two", copy.id);
  await rules.create("c", raw, { snapshot: second.id });
  assert.equal(
    readFileSync(join(rules.folderOf("c"), "data.img"))
      .subarray(0, 4)
      .toString(),
    "xxxx",
  );
});

test("bytes that are cut short are lost content for a stage, a growth, a snapshot and a clone", async (t) => {
  const scratch = scratchFor(t);
  const rules = await openRules(scratch, (await makePoolDisk(scratch, "xfs")).path);
  const { id } = await rules.create("a");
  const staging = rules.folder("s");
  await rules.stage(id, staging);
  await rules.unstage(id, staging);
  truncateSync(join(rules.folderOf("a"), "data.img"), 32 * mebibyte);
  await assert.rejects(rules.stage(id, staging), problem("CONTENT_LOST"));
  await assert.rejects(rules.snapshot("one", id), problem("CONTENT_LOST"));
  await assert.rejects(rules.create("b", mounted, { from: id }), problem("CONTENT_LOST"));
  await assert.rejects(rules.expand(id, 128 * mebibyte), problem("CONTENT_LOST"));
  await rules.remove(id);
});
