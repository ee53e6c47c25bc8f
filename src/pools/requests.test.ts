import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import type { Pending } from "./pending.ts";
import { Requests } from "./requests.ts";

function pool(t: { after(end: () => void): void }): { requests: Requests; folder: string } {
  const path = mkdtempSync(join(tmpdir(), "holdfast-test-"));
  t.after(() => rmSync(path, { recursive: true }));
  return {
    requests: new Requests({ folder: path }),
    folder: join(path, "requests", Buffer.from("n1").toString("hex")),
  };
}

async function ask(requests: Requests, forMs = 10_000): Promise<Pending> {
  // The asker's clock is an hour ahead: only the difference of its times counts.
  const asked = Date.now() + 3_600_000;
  const request = { by: "c1", requestId: "e8a1f6-9", asked, expires: asked + forMs, cut: { kind: "snapshot" } };
  const pending = await requests.ask("n1", request);
  assert.ok(pending);
  return pending;
}

async function take(requests: Requests) {
  const [id = ""] = (await requests.waiting("n1")).ids;
  return requests.take("n1", id);
}

const refused = { done: false, problem: "POOL_FULL", what: "no room", advice: "make room" } as const;

/** As if the file had been written that long ago, by the clock of its file system. */
function age(path: string, ms: number): void {
  const then = (Date.now() - ms) / 1000;
  utimesSync(path, then, then);
}

test("a node takes a request, holds it, and answers once; nothing is left", async (t) => {
  const { requests, folder } = pool(t);
  await requests.serve("n1");
  await requests.serve("n1");
  const pending = await ask(requests);
  assert.equal(await pending.look(), "waiting");
  const taken = await take(requests);
  assert.ok(taken);
  assert.deepEqual([taken.late, taken.request.by, taken.request.cut.text("kind")], [false, "c1", "snapshot"]);
  assert.equal(await take(requests), undefined, "one acts on it");
  assert.equal(await pending.withdraw(), false, "and while it does, nobody takes it back");
  await taken.answer(refused);
  taken.release();
  assert.equal(await pending.withdraw(), false);
  assert.deepEqual(await pending.look(), refused);
  assert.deepEqual(readdirSync(folder), []);
  assert.equal(await pending.look(), "gone");
});

test("what is taken back is not to be taken; what a node let go without an answer can be", async (t) => {
  const { requests, folder } = pool(t);
  await requests.serve("n1");
  const first = await ask(requests);
  const [id = ""] = (await requests.waiting("n1")).ids;
  assert.equal(await first.withdraw(), true);
  assert.equal(await requests.take("n1", id), undefined);
  const second = await ask(requests);
  (await take(requests))?.release();
  assert.equal(await second.look(), "waiting");
  const again = await take(requests);
  assert.ok(again);
  again.release();
  assert.equal(await second.withdraw(), true);
  assert.deepEqual(readdirSync(folder), []);
});

test("a request is late by the clock of the pool's file system, whatever its asker's clock says", async (t) => {
  const { requests, folder } = pool(t);
  await requests.serve("n1");
  await ask(requests, 10_000);
  const [name = ""] = readdirSync(folder);
  age(join(folder, name), 9_000);
  const fresh = await take(requests);
  assert.equal(fresh?.late, false);
  fresh?.release();
  age(join(folder, name), 10_500);
  const late = await take(requests);
  assert.equal(late?.late, true);
  await late?.drop();
  late?.release();
  assert.deepEqual(readdirSync(folder), []);
});

test("a request that can't be read is answered at once", async (t) => {
  const { requests, folder } = pool(t);
  await requests.serve("n1");
  const texts = { RECORD_DAMAGED: '{"version":1}\n', POOL_NEWER: '{"version":9}\n' };
  for (const [problem, text] of Object.entries(texts)) {
    const pending = await ask(requests);
    const [name = ""] = readdirSync(folder);
    writeFileSync(join(folder, name), text);
    await assert.rejects(take(requests), new RegExp(problem));
    const answer = await pending.look();
    assert.ok(typeof answer === "object" && !answer.done);
    assert.equal(answer.problem, problem);
    assert.deepEqual(readdirSync(folder), []);
  }
});

test("a node without a folder takes no requests", async (t) => {
  const { requests } = pool(t);
  const request = { by: "c1", requestId: "r", asked: 1, expires: 2, cut: {} };
  assert.equal(await requests.ask("n1", request), undefined);
  assert.equal(await requests.collect(), 0);
});

test("what nobody comes back for is collected when it is old, unless somebody acts on it", async (t) => {
  const { requests, folder } = pool(t);
  await requests.serve("n1");
  for (let n = 0; n < 3; n += 1) await ask(requests);
  const [young = "", old = "", held = ""] = readdirSync(folder);
  for (const name of [old, held]) age(join(folder, name), 11 * 60_000);
  const answer = `${"a".repeat(16)}.answer`;
  writeFileSync(join(folder, answer), "");
  age(join(folder, answer), 11 * 60_000);
  const taken = await requests.take("n1", held.slice(0, 16));
  assert.equal(await requests.collect(), 2);
  assert.deepEqual(readdirSync(folder).sort(), [young, held].sort());
  taken?.release();
});
