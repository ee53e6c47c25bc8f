import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CsiError } from "../../csi/client.ts";
import { ApiError } from "./api-error.ts";
import { Later, openQueue } from "./queue.ts";
import { silent, until } from "./test-server.ts";

test("a key runs once at a time; what is added meanwhile runs once more, not more often", async () => {
  const gate = Promise.withResolvers<undefined>();
  let runs = 0;
  let at = 0;
  let most = 0;
  const run = async () => {
    runs++;
    most = Math.max(most, ++at);
    await gate.promise;
    at--;
    return undefined;
  };
  const queue = openQueue({ name: "q", workers: 4, run }, silent);
  queue.add("a");
  for (let i = 0; i < 5; i++) queue.add("a");
  gate.resolve(undefined);
  await until(() => queue.size === 0, "the end");
  assert.deepEqual({ runs, most }, { runs: 2, most: 1 });
});

test("no more keys run at once than there are workers, and none is forgotten", async () => {
  let at = 0;
  let most = 0;
  const done: string[] = [];
  const run = async (key: string) => {
    most = Math.max(most, ++at);
    await sleep(1);
    at--;
    done.push(key);
    return undefined;
  };
  const queue = openQueue({ name: "q", workers: 3, run }, silent);
  for (let i = 0; i < 20; i++) queue.add(`k${i}`);
  await until(() => queue.size === 0, "the end");
  assert.equal(most, 3);
  assert.equal(new Set(done).size, 20);
});

test("what fails is tried again, ever more slowly, until it succeeds", async () => {
  const at: number[] = [];
  const attempts: number[] = [];
  const run = (_: string, attempt: number) => {
    at.push(performance.now());
    attempts.push(attempt);
    if (attempt < 4) throw new Error("not yet");
    return Promise.resolve(undefined);
  };
  const queue = openQueue({ name: "q", workers: 1, run, firstWaitMs: 20 }, silent);
  queue.add("a");
  await until(() => queue.size === 0, "the end");
  assert.deepEqual(attempts, [1, 2, 3, 4]);
  const waits = at.slice(1).map((time, i) => time - (at[i] ?? 0));
  assert.ok((waits[2] ?? 0) > (waits[0] ?? 0), `${waits.join(", ")} grow`);
});

test("while the API server or the driver is away, the waits stay short: the work goes on when it is back", async () => {
  for (const error of [new ApiError(0, "", "no answer"), new CsiError("UNAVAILABLE", "no driver answers", "Probe")]) {
    const at: number[] = [];
    const run = () => {
      at.push(performance.now());
      if (at.length < 8) throw error;
      return Promise.resolve(undefined);
    };
    const queue = openQueue({ name: "q", workers: 1, run, firstWaitMs: 5, outageWaitMs: 20 }, silent);
    queue.add("a");
    await until(() => queue.size === 0, "the end");
    const waits = at.slice(1).map((time, i) => time - (at[i] ?? 0));
    assert.ok((waits.at(-1) ?? 0) < 200, `${waits.join(", ")} stay short`);
  }
});

test("a run that asks to come again comes again, and a nearer wish wins over a farther one", async () => {
  let runs = 0;
  const run = () => Promise.resolve(++runs < 3 ? 10 : undefined);
  const queue = openQueue({ name: "q", workers: 1, run }, silent);
  queue.add("a", 60_000);
  queue.add("a", 5);
  await until(() => runs === 3 && queue.size === 0, "three runs");
});

test("Later waits its own time and does not count as a failure", async () => {
  const attempts: number[] = [];
  const run = (_: string, attempt: number) => {
    attempts.push(attempt);
    if (attempts.length < 3) throw new Later("somebody else first", 5);
    return Promise.resolve(undefined);
  };
  const queue = openQueue({ name: "q", workers: 1, run }, silent);
  queue.add("a");
  await until(() => queue.size === 0, "the end");
  assert.deepEqual(attempts, [1, 1, 1]);
});

test("stop waits for what runs and begins nothing new", async () => {
  const gate = Promise.withResolvers<undefined>();
  const began: string[] = [];
  const run = (key: string) => {
    began.push(key);
    return gate.promise;
  };
  const queue = openQueue({ name: "q", workers: 1, run }, silent);
  queue.add("a");
  queue.add("b");
  const stopped = queue.stop();
  queue.add("c");
  gate.resolve(undefined);
  await stopped;
  assert.deepEqual(began, ["a"]);
});
