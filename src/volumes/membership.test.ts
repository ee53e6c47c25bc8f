import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "../observe/log.ts";
import type { Pool } from "../pools/pool.ts";
import { Membership } from "./membership.ts";

interface Line {
  readonly damage?: string;
  readonly error?: Error;
}

/** Looks each millisecond, until all of the answers were given; `lines` is what was logged then. */
async function watched(answers: readonly (string | Error | undefined)[], shared = true): Promise<Line[]> {
  const lines: Line[] = [];
  const left = [...answers];
  const pool = {
    name: "p",
    shared,
    rejoin: () => {
      const next = left.shift();
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
    },
  };
  const membership = new Membership({ warn: (line: Line) => lines.push(line) } as unknown as Log, 1);
  membership.watch(pool as unknown as Pool);
  for (let tries = 0; left.length > 0 && tries < 100; tries += 1) await delay(2);
  await membership.stop();
  assert.equal(left.length, shared ? 0 : answers.length);
  return lines;
}

test("what was wrong with the record is logged once it is written anew", async () => {
  assert.deepEqual(await watched([undefined, "it is missing", undefined]), [{ pool: "p", damage: "it is missing" }]);
});

test("what can't be looked after is tried again, and logged once for each reason", async () => {
  const [one, two] = [new Error("one"), new Error("two")];
  const lines = await watched([one, one, two, undefined, one]);
  assert.deepEqual(
    lines.map(({ error }) => error),
    [one, two, one],
  );
});

test("a local pool has no such record", async () => {
  assert.deepEqual(await watched(["it is missing"], false), []);
});

test("nothing is asked after it was stopped, and a disk that does not answer holds up no stop", async () => {
  let asked = 0;
  const rejoin = () => {
    asked += 1;
    return new Promise(() => undefined);
  };
  const membership = new Membership({ warn: () => undefined } as unknown as Log, 1);
  membership.watch({ name: "p", shared: true, rejoin } as unknown as Pool);
  while (asked === 0) await delay(1);
  await membership.stop();
  assert.equal(asked, 1);
});
