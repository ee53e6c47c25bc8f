import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, quantityOf } from "./quantity.ts";

test("every form of a quantity is whole bytes, rounded up", () => {
  const cases: readonly [string, bigint][] = [
    ["0", 0n],
    ["1500", 1500n],
    ["1k", 1000n],
    ["64Mi", 64n * 1024n ** 2n],
    ["1.5Gi", 1536n * 1024n ** 2n],
    [".5Ki", 512n],
    ["0.0001Ki", 1n],
    ["1e3", 1000n],
    ["12E2", 1200n],
    ["2E", 2n * 10n ** 18n],
    ["1Ei", 1024n ** 6n],
    ["100m", 1n],
    ["2000m", 2n],
    ["15e-1", 2n],
  ];
  for (const [text, bytes] of cases) assert.equal(bytesOf(text), bytes, text);
  for (const wrong of ["", "Gi", "1KB", "one", "1 Gi", "."])
    assert.throws(() => bytesOf(wrong), /is not a size/, wrong);
});

test("bytes are written with the largest unit that leaves no rest", () => {
  assert.deepEqual([0n, 1023n, 1024n, 1025n, 64n * 1024n ** 2n, 1536n * 1024n ** 2n, 1024n ** 4n].map(quantityOf), [
    "0",
    "1023",
    "1Ki",
    "1025",
    "64Mi",
    "1536Mi",
    "1Ti",
  ]);
});
