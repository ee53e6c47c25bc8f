import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { removeTree } from "./remove-tree.ts";

test("everything below goes, links go and not what they lead to, and a second time is fine", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "holdfast-tree-"));
  try {
    const tree = join(scratch, "tree");
    const kept = join(scratch, "kept");
    mkdirSync(join(tree, "a", "b"), { recursive: true });
    mkdirSync(kept);
    writeFileSync(join(kept, "file"), "x");
    for (let n = 0; n < 11; n++) writeFileSync(join(tree, "a", `.file-${n}`), "x");
    symlinkSync(kept, join(tree, "a", "b", "link"));
    await removeTree(tree);
    assert.equal(existsSync(tree), false);
    assert.deepEqual(readdirSync(kept), ["file"]);
    await removeTree(tree);
    await assert.rejects(removeTree(join(kept, "file")), { code: "ENOTDIR" });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
