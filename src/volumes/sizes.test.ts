import assert from "node:assert/strict";
import test from "node:test";
import { Problem } from "../pools/problem.ts";
import { chooseSize, defaultSize, fits } from "./sizes.ts";

const outOfRange = (error: unknown) => error instanceof Problem && error.code === "SIZE_OUT_OF_RANGE";

test("what is required, in whole blocks, at least the minimum", () => {
  assert.equal(chooseSize({ required: 1000 }, 0, defaultSize), 4096);
  assert.equal(chooseSize({ required: 1 }, 4096, defaultSize), 4096);
  assert.equal(chooseSize({}, 0, defaultSize), defaultSize);
  assert.equal(chooseSize({ limit: 1_000_000 }, 0, defaultSize), 999_424);
});

test("limits that exclude the required size or the minimum", () => {
  assert.throws(() => chooseSize({ required: 2048, limit: 1024 }, 0, defaultSize), outOfRange);
  assert.throws(() => chooseSize({ limit: 1024 }, 4096, defaultSize), outOfRange);
  assert.throws(() => chooseSize({ required: 1000, limit: 1000 }, 0, defaultSize), outOfRange);
  assert.throws(() => chooseSize({ required: -1 }, 0, defaultSize), outOfRange);
  assert.throws(() => chooseSize({ required: Number.MAX_SAFE_INTEGER }, 0, defaultSize), outOfRange);
});

test("a size answers a range", () => {
  assert.ok(fits(1024, { required: 1024, limit: 1024 }));
  assert.ok(!fits(1024, { required: 1025 }));
  assert.ok(!fits(1024, { limit: 1023 }));
  assert.ok(fits(1024, {}));
});
