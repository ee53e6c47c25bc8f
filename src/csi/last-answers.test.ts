import assert from "node:assert/strict";
import test from "node:test";
import { aVolume, testServer } from "./test-server.ts";

test("stop: the last answers reach their callers, however long they are", async () => {
  const started = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const entries = Array.from({ length: 3_000 }, (_, index) => ({ ...aVolume, id: `v${index}` }));
  let running = 0;
  await using t = await testServer({
    controller: {
      list: async () => {
        running += 1;
        if (running === 3) started.resolve();
        await finish.promise;
        return { entries, next: "" };
      },
    },
  });
  const answered: number[] = [];
  for (let index = 0; index < 3; index += 1)
    void t.client.controller.listVolumes({}).then((answer) => answered.push(answer.entries.length));
  await started.promise;
  const stopped = t.server.stop({ graceMs: 5000 });
  finish.resolve();
  // The process ends as soon as this resolves.
  await stopped;
  assert.deepEqual(
    answered,
    Array.from({ length: 3 }, () => entries.length),
  );
});

test("stop: a connection without calls is closed at once", async () => {
  await using t = await testServer({});
  await t.client.identity.probe({});
  const began = performance.now();
  await t.server.stop({ graceMs: 5000 });
  assert.ok(performance.now() - began < 800, "the stop waited for nothing");
});
