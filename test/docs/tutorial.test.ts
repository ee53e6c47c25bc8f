import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { codeBlocks, pages, root } from "./pages.ts";

test("the code of the tutorial is, block after block, the whole example that the tests run", () => {
  const page = pages().get("docs/tutorials/write-a-pool.md") ?? "";
  const example = readFileSync(join(root, "examples/memory-pool.ts"), "utf8");
  const lines = (text: string) => text.split("\n").filter((line) => line.trim() !== "");
  assert.deepEqual(lines(codeBlocks(page, "ts").join("\n")), lines(example));
});
