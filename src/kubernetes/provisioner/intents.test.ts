import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { silent } from "../api/test-server.ts";
import { openIntents } from "./intents.ts";
import type { Plan } from "./plan.ts";

const plan = (uid: string): Plan => ({
  claim: { uid, namespace: "ns", name: "c" },
  name: `pvc-${uid}`,
  bytes: "1073741824",
  capabilities: [{ accessType: { case: "mount", value: { fsType: "", mountFlags: [] } }, accessMode: { mode: 1 } }],
  parameters: { kind: "fast" },
  mutableParameters: {},
  secret: { name: "s", namespace: "ns" },
  volume: { metadata: { name: `pvc-${uid}` } },
});

test("what was begun is there for the next process, until it is over", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-intents-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const first = await openIntents(folder, silent);
  await first.begin(plan("a"));
  await first.begin(plan("b"));
  await first.end("b");
  await first.end("b");
  const second = await openIntents(folder, silent);
  assert.deepEqual(second.all(), [plan("a")]);
  assert.deepEqual(second.get("a"), plan("a"));
  await second.end("a");
  assert.deepEqual(readdirSync(folder), []);
});

test("one that can't be read is told, and does not hold up the others", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-intents-"));
  t.after(() => rmSync(folder, { recursive: true }));
  await (await openIntents(folder, silent)).begin(plan("a"));
  writeFileSync(join(folder, "broken.json"), "{\n");
  const told: string[] = [];
  const intents = await openIntents(folder, { ...silent, error: (_, text) => told.push(text) });
  assert.deepEqual(intents.all(), [plan("a")]);
  assert.equal(told.length, 1);
  // It stays for a person to look at.
  assert.ok(readdirSync(folder).includes("broken.json"));
});

test("one that was not written whole was not begun: it goes, and is begun anew", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-intents-"));
  t.after(() => rmSync(folder, { recursive: true }));
  await (await openIntents(folder, silent)).begin(plan("a"));
  const whole = readFileSync(join(folder, "a.json"));
  for (const torn of [whole.subarray(0, -1), whole.subarray(0, 40), Buffer.alloc(whole.length), Buffer.alloc(0)]) {
    writeFileSync(join(folder, "a.json"), torn);
    const intents = await openIntents(folder, { ...silent, error: (_, text) => assert.fail(text) });
    assert.deepEqual(intents.all(), []);
    await intents.begin(plan("a"));
    assert.deepEqual((await openIntents(folder, silent)).all(), [plan("a")]);
  }
  writeFileSync(join(folder, "b.json"), "{");
  await openIntents(folder, silent);
  assert.ok(existsSync(join(folder, "b.json")), "another process may be writing it");
  utimesSync(join(folder, "b.json"), 0, 0);
  await openIntents(folder, silent);
  assert.ok(!existsSync(join(folder, "b.json")));
});

test("begun again: what was there is replaced", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-intents-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const intents = await openIntents(folder, silent);
  await intents.begin(plan("a"));
  const other = { ...plan("a"), bytes: "1" };
  await intents.begin(other);
  assert.deepEqual((await openIntents(folder, silent)).all(), [other]);
});

test("without a folder they are remembered", async () => {
  const intents = await openIntents(undefined, silent);
  await intents.begin(plan("a"));
  assert.deepEqual(intents.all(), [plan("a")]);
  await intents.end("a");
  assert.equal(intents.get("a"), undefined);
});
