import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSize, parseSize } from "./size-words.ts";

test("sizes are read in 1024s and in 1000s", () => {
  const cases: [string, number][] = [
    ["0", 0],
    ["4096", 4096],
    ["10Gi", 10 * 1024 ** 3],
    ["10GiB", 10 * 1024 ** 3],
    ["1.5Gi", 1.5 * 1024 ** 3],
    ["500M", 500e6],
    ["1k", 1000],
    ["1Ki", 1024],
    ["2Ti", 2 * 1024 ** 4],
    ["7Pi", 7 * 1024 ** 5],
    ["0.1Ki", 103],
    [" 1 ".trim(), 1],
  ];
  for (const [text, bytes] of cases) assert.equal(parseSize(text), bytes, text);
});

test("what is not a size is refused, with the text in the message", () => {
  for (const text of ["", "x", "-1", "1.", ".5Gi", "1e9", "10 Gi", "10Zi", "Gi", "0x10", "1,5Gi", "NaN", "1i"]) {
    assert.throws(() => parseSize(text), { message: /is not a size/ }, text);
  }
  for (const text of ["16Ei", "8Pi", "9007199254740992", "99999999999999999999Ei"]) {
    assert.throws(() => parseSize(text), { message: /too large/ }, text);
  }
});

test("sizes are written short, and never larger than they are", () => {
  const cases: [number, string][] = [
    [0, "0"],
    [1023, "1023"],
    [1024, "1Ki"],
    [10 * 1024 ** 3, "10Gi"],
    [1.5 * 1024 ** 3, "1.5Gi"],
    [1024 ** 3 - 1, "1023.99Mi"],
    [-2048, "-2Ki"],
  ];
  for (const [bytes, text] of cases) assert.equal(formatSize(bytes), text);
});
