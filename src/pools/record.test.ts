import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { isRecent, noteRecent, readLocal } from "./record.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-record-"));
after(() => rmSync(folder, { recursive: true }));

test("a record that nobody looked at lately is read by another thread, for its disk may hang", async () => {
  const path = join(folder, "slow");
  writeFileSync(path, "at last");
  const others = () => process.getActiveResourcesInfo().filter((name) => name.startsWith("FSReq")).length;
  const reading = readLocal(path);
  assert.equal(others(), 1);
  assert.equal(await reading, "at last");
  await delay(5);
  const again = readLocal(path);
  assert.equal(others(), 0);
  assert.equal(await again, "at last");
});

test("a pipe, a device, a link, a folder or far too much in a record's place is damage, and nobody waits", async () => {
  const path = join(folder, "strange");
  const puts = [
    () => execFileSync("mkfifo", [path]),
    () => execFileSync("mknod", [path, "c", "1", "5"]),
    () => symlinkSync(join(folder, "record"), path),
    () => mkdirSync(path),
    () => {
      writeFileSync(path, "");
      truncateSync(path, 2 ** 40);
    },
  ];
  for (const put of puts) {
    rmSync(path, { recursive: true, force: true });
    put();
    for (let looks = 0; looks < 2; looks += 1) await assert.rejects(readLocal(path), { code: "RECORD_DAMAGED" });
  }
});

test("what was read, written or missing a moment ago is read as it is now", async () => {
  const path = join(folder, "record");
  assert.equal(await readLocal(path), undefined);
  assert.equal(isRecent(path), true);
  writeFileSync(path, "one");
  assert.equal(await readLocal(path), "one");
  writeFileSync(path, "two");
  assert.equal(await readLocal(path), "two");
  unlinkSync(path);
  assert.equal(await readLocal(path), undefined);
  await assert.rejects(readLocal(folder), { code: "RECORD_DAMAGED" });
});

test("of what is recent only so much is remembered, and not for long", async () => {
  const [first, other] = [join(folder, "first"), join(folder, "other")];
  noteRecent(first);
  for (let n = 0; n < 5000; n += 1) noteRecent(`${other}-${n}`);
  assert.equal(isRecent(first), false);
  noteRecent(first);
  assert.equal(isRecent(first), true);
  await delay(1100);
  assert.equal(isRecent(first), false);
});
