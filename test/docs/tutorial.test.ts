import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { codeBlocks } from "./pages.ts";

const root = join(import.meta.dirname, "../..");

test("the code of the tutorial is, block after block, the whole example that the tests run", () => {
  const page = readFileSync(join(root, "docs/tutorials/write-a-pool.md"), "utf8");
  const example = readFileSync(join(root, "examples/memory-pool.ts"), "utf8");
  const lines = (text: string) => text.split("\n").filter((line) => line.trim() !== "");
  assert.deepEqual(lines(codeBlocks(page, "ts").join("\n")), lines(example));
});
