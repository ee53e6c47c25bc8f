/** What every sweep of an operation does around the fault itself: the operation once unbroken, and the verdict after a fault. */
import assert from "node:assert/strict";
import { settled } from "./again.ts";
import { within } from "./frame/within.ts";
import type { Operation, Prepared } from "./operations/operation.ts";
import type { World } from "./world.ts";

/** The operation with nothing broken, but watched. */
export async function unbroken<T>(
  world: World,
  operation: Operation,
  name: string,
  watched: (prepared: Prepared) => Promise<T>,
): Promise<T> {
  const prepared = await operation.prepare(world, name);
  const result = await watched(prepared);
  await prepared.check();
  await prepared.undo();
  await world.expectEmpty();
  return result;
}

/**
 * Repeats the call that a fault struck, and fails unless all is as promised. `answered`: what it answered nevertheless;
 * undefined: nothing. `fault`: as in "after the restart".
 */
export async function expectWhole(
  world: World,
  prepared: Prepared,
  answered: string | undefined,
  fault: string,
): Promise<void> {
  const seen = (await prepared.seen?.()) ?? [];
  const identity = await within(
    30_000,
    settled(() => prepared.act()),
    "the repeated call",
  );
  if (answered !== undefined) assert.equal(identity, answered, "the repeated call answers another identity");
  if (identity !== "") {
    const after = (await prepared.seen?.()) ?? [];
    for (const one of seen) assert.ok(after.includes(one), `${one} was seen after the ${fault}, and is not there now`);
    assert.equal(after.filter((one) => one === identity).length, 1, "what was made is not listed once");
  }
  await prepared.check();
  await prepared.undo();
  await world.expectEmpty();
}
