import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLog } from "../observe/log.ts";
import { NodeRecords } from "../pools/node-records.ts";
import type { Pool, Progress, Volume } from "../pools/pool.ts";
import { makeFolder } from "../pools/shelf.ts";
import { HeldElsewhere, Holder } from "./hold.ts";

const progress: Progress = { signal: new AbortController().signal, step: () => undefined, child: () => undefined };
const volume = { key: "a".repeat(32), nonce: "b".repeat(16), name: "v" } as Volume;
const log = createLog({ level: "silent", format: "json" });

/** What the cut of the volume throws. */
function refused(holder: Holder, pool: Pool): Promise<unknown> {
  const hold = holder.still(pool, volume, progress);
  return hold(1000, async () => "cut").catch((error: unknown) => error);
}

test("a volume that another node has staged is not cut, and the refusal names that node", async () => {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-test-"));
  try {
    await makeFolder(join(folder, "nodes"));
    const shared = { folder, shared: true };
    const record = { ...volume, stagingPath: "/s", access: "mount", mode: "SINGLE_NODE_WRITER", fsType: "" } as const;
    await new NodeRecords(shared, "n1").write({
      ...record,
      mountFlags: [],
      state: "staged",
      fileSystem: "",
      targets: [],
    });
    const closed = { opened: async () => undefined, inUse: async () => undefined } as unknown as Pool;
    const from = (node: string) => new Holder(() => new NodeRecords(shared, node), log);
    const error = await refused(from("n2"), closed);
    assert.ok(error instanceof HeldElsewhere);
    assert.equal(error.node, "n1");
    assert.match(error.message, /staged on n1.*SOURCE_NOT_READY/);
    // The node's own note without a device: nobody has it open any more.
    assert.equal(await from("n1").still(closed, volume, progress)(1000, async (still) => still), "idle");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("nothing is frozen while a start thaws what a crash left: that would be thawed with it", async () => {
  const thawed = Promise.withResolvers<[]>();
  const frozen: string[] = [];
  const records = {
    freezes: () => thawed.promise,
    recordFreeze: async (key: string) => void frozen.push(key),
    endFreeze: async () => undefined,
  } as unknown as NodeRecords;
  // No file system that can be frozen, and mounted everywhere.
  const pool = { uuid: "p", opened: async () => ({ gives: "device", device: "proc" }) } as unknown as Pool;
  const holder = new Holder(() => records, log);
  const thawing = holder.thawRecorded(pool);
  const cut = refused(holder, pool);
  await sleep(50);
  assert.deepEqual(frozen, []);
  thawed.resolve([]);
  await thawing;
  assert.match(String(await cut), /cannot freeze \/proc/);
  assert.deepEqual(frozen, [volume.key]);
});
