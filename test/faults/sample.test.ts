/** A few tries of each operation and of each kind of fault; `npm run test:faults` makes all of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parts } from "./faults.ts";
import { repeatOf, runPart } from "./frame/runner.ts";

const seed = 1;

for (const part of parts.filter(({ sample }) => sample)) {
  test(`${part.fault}, ${part.pool}: ${part.operation}`, async () => {
    const { failures } = await runPart(part, { sample: true, seed });
    const told = failures.map((failure) => `${String(failure.error)}\nrepeat it with: ${repeatOf(failure, seed)}`);
    assert.equal(failures.length, 0, told.join("\n\n"));
  });
}
