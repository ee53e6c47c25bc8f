import assert from "node:assert/strict";
import { test } from "node:test";
import { Share } from "../host/share.ts";
import type { Log } from "../observe/log.ts";
import type { Pool } from "../pools/pool.ts";
import type { PoolSlot } from "../pools/slots.ts";
import { asked, Bystanders } from "./answers.ts";

const pool = { name: "p" } as Pool;
const slot = { config: { name: "p" }, share: new Share(), current: pool } as unknown as PoolSlot;
const never = () => new Promise<never>(() => undefined);

function lines(): { readonly log: Log; readonly said: string[] } {
  const said: string[] = [];
  const say = (_about: unknown, text: string) => void said.push(text);
  return { log: { warn: say, info: say } as unknown as Log, said };
}

test("a pool that does not answer is asked nothing more until it has answered, and both are told once", async () => {
  const { log, said } = lines();
  const bystanders = new Bystanders(20, log);
  let answer = (_value: number) => {};
  const late = () => new Promise<number>((resolve) => (answer = resolve));
  assert.deepEqual(await Promise.all([bystanders.ask(slot, late), bystanders.ask(slot, never)]), [
    undefined,
    undefined,
  ]);
  assert.deepEqual(said, ["the pool does not answer; others go on without it"]);
  const began = performance.now();
  assert.equal(await bystanders.ask(slot, () => assert.fail("it was asked")), undefined);
  assert.ok(performance.now() - began < 15);
  answer(1);
  await new Promise(setImmediate);
  assert.equal(said.at(-1), "the pool answers again");
  assert.equal(await bystanders.ask(slot, async () => 2), 2);
  await assert.rejects(
    bystanders.ask(slot, () => Promise.reject(new Error("its own"))),
    /its own/,
  );
  assert.equal(said.length, 2);
});

test("who needs the answer learns before the deadline which pool is silent", async () => {
  const call = { rpc: "ListVolumes", requestId: "1", signal: new AbortController().signal };
  const deadline = Date.now() + 100;
  await assert.rejects(asked(slot, { ...call, deadline }, never), {
    code: "POOL_UNAVAILABLE",
    message: /the pool 'p' did/,
  });
  assert.ok(Date.now() <= deadline);
  assert.equal(await asked(slot, call, async (each) => each.name), "p");
});
