import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { openClient } from "./client.ts";
import { leadWhileHeld } from "./leader.ts";
import { silent, startTestApi, type TestApi, until } from "./test-server.ts";

const times = { lastsMs: 1000, renewWithinMs: 400, retryMs: 50 };
const path = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l";

function candidate(api: TestApi, identity: string) {
  const stop = new AbortController();
  const client = openClient(api.cluster, identity);
  const state = { leads: false, times: 0 };
  const ended = leadWhileHeld(
    client,
    { namespace: "ns", name: "l", identity, ...times },
    silent,
    stop.signal,
    async (signal) => {
      state.leads = true;
      state.times++;
      if (!signal.aborted) await once(signal, "abort");
      state.leads = false;
    },
  );
  return {
    state,
    async stop() {
      stop.abort();
      await ended;
      client.close();
    },
  };
}

test("one of two leads; when it stops, it gives the Lease back and the other leads at once", async () => {
  await using api = await startTestApi();
  const a = candidate(api, "a");
  await until(() => a.state.leads, "a to lead");
  const b = candidate(api, "b");
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.deepEqual([a.state.leads, b.state.leads], [true, false]);
  assert.equal(a.state.times, 1, "it renewed its Lease all the while");
  await a.stop();
  await until(() => b.state.leads, "b to lead");
  await b.stop();
});

test("who can't renew stops before another may begin", async () => {
  await using api = await startTestApi();
  const a = candidate(api, "a");
  await until(() => a.state.leads, "a to lead");
  const cutAt = performance.now();
  api.answer = () => ({ status: 500 });
  await until(() => !a.state.leads, "a to stop");
  assert.ok(performance.now() - cutAt < times.lastsMs, "before the Lease ends");
  api.answer = undefined;
  await until(() => a.state.leads, "a to lead again");
  assert.equal(a.state.times, 2);
  await a.stop();
});

test("a server that asks for patience does not make a leader stay longer than its Lease", async () => {
  await using api = await startTestApi();
  const a = candidate(api, "a");
  await until(() => a.state.leads, "a to lead");
  const askedAt = performance.now();
  api.answer = () => ({ status: 429, headers: { "retry-after": "3" } });
  await until(() => !a.state.leads, "a to stop");
  assert.ok(performance.now() - askedAt < times.lastsMs, "before the Lease ends");
  api.answer = undefined;
  await a.stop();
});

test("a Lease that another took, whatever made it do so, is not taken back: the work stops", async () => {
  await using api = await startTestApi();
  const a = candidate(api, "a");
  await until(() => a.state.leads, "a to lead");
  const taken = { holderIdentity: "thief", leaseDurationSeconds: 1, renewTime: "2026-01-01T00:00:00.000000Z" };
  api.put(path, { metadata: { namespace: "ns" }, spec: taken });
  await until(() => !a.state.leads, "a to stop");
  // The thief never renews: after its time has passed by our own clock, whatever it wrote, the Lease is free.
  await until(() => a.state.leads, "a to lead again");
  await a.stop();
});
