import assert from "node:assert/strict";
import { test } from "node:test";
import { abandonable, Lane } from "./lane.ts";

const never = () => new Promise<never>(() => undefined);

test("no more run at once than the lane is wide, in order, also after failures", async () => {
  const lane = new Lane(2);
  let running = 0;
  let most = 0;
  const order: number[] = [];
  const results = await Promise.allSettled(
    [0, 1, 2, 3, 4, 5].map((i) =>
      lane.run(async () => {
        most = Math.max(most, ++running);
        order.push(i);
        await new Promise(setImmediate);
        running--;
        if (i === 1) throw new Error("fails");
        return i;
      }),
    ),
  );
  assert.equal(most, 2);
  assert.deepEqual(order, [0, 1, 2, 3, 4, 5]);
  assert.equal(results.filter((r) => r.status === "rejected").length, 1);
});

test("who gives up while waiting leaves the queue and takes nobody's turn", async () => {
  const lane = new Lane(1);
  let free = () => {};
  const first = lane.run(() => new Promise<void>((resolve) => (free = resolve)));
  const gaveUp = new AbortController();
  const second = lane.run(async () => assert.fail("must not run"), gaveUp.signal);
  const third = lane.run(async () => "third");
  gaveUp.abort(new Error("gone"));
  await assert.rejects(second, /gone/);
  free();
  await first;
  assert.equal(await third, "third");
  await assert.rejects(lane.run(never, AbortSignal.abort()), { name: "AbortError" });
});

test("work that hangs is given up", async () => {
  await assert.rejects(abandonable(never(), AbortSignal.timeout(5)), { name: "TimeoutError" });
  assert.equal(await abandonable(Promise.resolve(1), new AbortController().signal), 1);
});
