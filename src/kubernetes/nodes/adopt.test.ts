import assert from "node:assert/strict";
import { test } from "node:test";
import { moved } from "./adopt.ts";

test("a volume that moves to another name carries that node's label, where it had one, and all its others", () => {
  const labelled = { metadata: { name: "v", labels: { "d.example/node": "old", team: "a" } } };
  assert.deepEqual(moved(labelled, "d.example", "new").metadata?.labels, { "d.example/node": "new", team: "a" });
  const bare = { metadata: { name: "v", labels: { team: "a" } } };
  assert.deepEqual(moved(bare, "d.example", "new").metadata?.labels, { team: "a" });
});
