import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { scratchFor } from "../../support/scratch.ts";
import { Counts, type Run } from "./counts.ts";
import type { Part } from "./part.ts";

const partOf = (operation: string): Part => ({
  fault: "kill",
  pool: "image",
  operation,
  sample: false,
  seconds: 30,
  run: () => Promise.resolve(),
});
const create = partOf("create");
const grow = partOf("grow");
const one = { part: create, tried: 7, missed: 1, failures: [], seconds: 12 };
const bad = { ...one, part: grow, failures: [{ part: grow, point: "main:write:1", error: new Error("lost") }] };

test("what held is in the file after each part, and is not asked for again; what failed is", (t) => {
  const { path } = scratchFor(t);
  const file = join(path, "counts.json");
  const first = new Counts(file, false, { seed: 1, sample: false });
  first.keep(one);
  const stored = JSON.parse(readFileSync(file, "utf8")) as Run;
  assert.deepEqual([stored.rows.length, stored.rows[0]?.tries, stored.rows[0]?.missed], [1, 7, 1]);
  assert.match(stored.rows[0]?.day ?? "", /^\d{4}-\d\d-\d\d$/);
  first.keep(bad);
  const second = new Counts(file, true, { seed: 1, sample: false });
  assert.deepEqual([second.held(create), second.held(grow), second.held(partOf("delete"))], [true, false, false]);
  assert.deepEqual([second.takes(grow), second.takes(partOf("delete"))], [12, 30]);
  second.keep({ ...bad, failures: [] });
  assert.equal(second.rows.length, 2);
  assert.ok(new Counts(file, true, { seed: 1, sample: false }).held(grow));
  assert.deepEqual(readdirSync(path), ["counts.json"]);
});

test("a file is begun anew without resume, and tries of another kind are not mixed into it", (t) => {
  const file = join(scratchFor(t).path, "counts.json");
  new Counts(file, false, { seed: 1, sample: false }).keep(one);
  const anew = new Counts(file, false, { seed: 2, sample: false });
  assert.deepEqual([anew.rows.length, anew.held(create), anew.takes(create)], [0, false, 12]);
  assert.throws(() => new Counts(file, true, { seed: 2, sample: false }), /seed 1/);
  assert.throws(() => new Counts(file, true, { seed: 1, sample: true }), /sample/);
});
