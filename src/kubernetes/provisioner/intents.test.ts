import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
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
  writeFileSync(join(folder, "broken.json"), "{");
  const told: string[] = [];
  const intents = await openIntents(folder, { ...silent, error: (_, text) => told.push(text) });
  assert.deepEqual(intents.all(), [plan("a")]);
  assert.equal(told.length, 1);
  // It stays for a person to look at.
  assert.ok(readdirSync(folder).includes("broken.json"));
});

test("without a folder they are remembered", async () => {
  const intents = await openIntents(undefined, silent);
  await intents.begin(plan("a"));
  assert.deepEqual(intents.all(), [plan("a")]);
  await intents.end("a");
  assert.equal(intents.get("a"), undefined);
});
