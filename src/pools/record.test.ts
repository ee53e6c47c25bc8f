import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { isRecent, noteRecent, readLocal } from "./record.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-record-"));
after(() => rmSync(folder, { recursive: true }));

test("a record that nobody looked at lately may hang, and everybody else is answered meanwhile", async () => {
  // A pipe without a writer is as slow to open as a file on a disk that does not answer.
  const path = join(folder, "slow");
  execFileSync("mkfifo", [path]);
  const reading = readLocal(path);
  await delay(20);
  await writeFile(path, "at last");
  assert.equal(await reading, "at last");
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
  await assert.rejects(readLocal(folder), { code: "EISDIR" });
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
