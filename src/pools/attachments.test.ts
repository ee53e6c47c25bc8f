import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { AttachmentRecords } from "./attachments.ts";
import type { Holder, Volume } from "./pool.ts";

test("a node's volumes are counted past those whose attachment can't be read", async () => {
  const pool = mkdtempSync(join(tmpdir(), "holdfast-attachments-"));
  try {
    const records = new AttachmentRecords(pool);
    await records.layOut();
    const holder: Holder = { node: "n1", mode: "SINGLE_NODE_WRITER", access: "mount", readonly: false, since: 1 };
    for (const key of ["a", "b"]) await records.setHolders({ key, nonce: "0" } as Volume, [holder]);
    await records.setHolders({ key: "c", nonce: "0" } as Volume, [{ ...holder, node: "n2" }]);
    assert.equal(await records.count("n1"), 2);
    writeFileSync(join(pool, "attachments", "d.json"), "[");
    writeFileSync(join(pool, "attachments", "e.json"), '{"version":2}');
    mkdirSync(join(pool, "attachments", "f.json"));
    assert.equal(await records.count("n1"), 2);
    await assert.rejects(records.holders({ key: "d", nonce: "0" }), { code: "RECORD_DAMAGED" });
  } finally {
    rmSync(pool, { recursive: true });
  }
});
