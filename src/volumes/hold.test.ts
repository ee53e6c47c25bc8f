import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { createLog } from "../observe/log.ts";
import { NodeRecords } from "../pools/node-records.ts";
import type { Pool, Progress, Volume } from "../pools/pool.ts";
import { makeFolder } from "../pools/shelf.ts";
import { HeldElsewhere, Holder } from "./hold.ts";

const progress: Progress = { signal: new AbortController().signal, step: () => undefined, child: () => undefined };

test("a volume that another node has staged is not cut, and the refusal names that node", async () => {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-test-"));
  try {
    await makeFolder(join(folder, "nodes"));
    const shared = { folder, shared: true };
    const volume = { key: "a".repeat(32), nonce: "b".repeat(16), name: "v" } as Volume;
    const record = { ...volume, stagingPath: "/s", access: "mount", mode: "SINGLE_NODE_WRITER", fsType: "" } as const;
    await new NodeRecords(shared, "n1").write({
      ...record,
      mountFlags: [],
      state: "staged",
      fileSystem: "",
      targets: [],
    });
    const closed = { opened: async () => undefined, inUse: async () => undefined } as unknown as Pool;
    const from = (node: string) =>
      new Holder(() => new NodeRecords(shared, node), createLog({ level: "silent", format: "json" }));
    const refused = await from("n2")
      .still(
        closed,
        volume,
        progress,
      )(1000, async () => "cut")
      .catch((error: unknown) => error);
    assert.ok(refused instanceof HeldElsewhere);
    assert.equal(refused.node, "n1");
    assert.match(refused.message, /staged on n1.*SOURCE_NOT_READY/);
    // The node's own note without a device: nobody has it open any more.
    assert.equal(await from("n1").still(closed, volume, progress)(1000, async (still) => still), "idle");
  } finally {
    await rm(folder, { recursive: true });
  }
});
