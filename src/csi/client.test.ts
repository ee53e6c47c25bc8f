import assert from "node:assert/strict";
import { test } from "node:test";
import { CsiError, connect } from "./client.ts";
import { EndpointError } from "./endpoint.ts";
import { aVolume, testServer } from "./test-server.ts";

test("no driver there: UNAVAILABLE at once, and the message says where", async () => {
  const client = connect("unix:///tmp/holdfast-nobody.sock");
  const began = performance.now();
  await assert.rejects(client.identity.probe({}), (error) => {
    assert.ok(error instanceof CsiError);
    assert.deepEqual([error.code, error.rpc], ["UNAVAILABLE", "Probe"]);
    assert.match(error.message, /^no driver answers at \/tmp\/holdfast-nobody\.sock: is it running\?/);
    return true;
  });
  assert.ok(performance.now() - began < 1000);
  client.close();
});

test("a client finds a driver that came back", async () => {
  await using first = await testServer({});
  assert.equal((await first.client.identity.probe({})).ready, true);
  await first.server.stop({ graceMs: 0 });
  await assert.rejects(first.client.identity.probe({}), CsiError);
  const { startServer } = await import("./server.ts");
  const again = await startServer({
    endpoint: first.path,
    services: new Set(["identity"]),
    rules: { readiness: { ready: async () => undefined } },
    info: { driverName: "a.b", vendorVersion: "2" },
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  });
  const until = Date.now() + 5000;
  const name = async (): Promise<string> => {
    try {
      return (await first.client.identity.getPluginInfo({})).name;
    } catch (error) {
      if (Date.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return name();
    }
  };
  assert.equal(await name(), "a.b");
  await again.stop({ graceMs: 0 });
});

test("a signal that is aborted already sends nothing", async () => {
  let calls = 0;
  await using t = await testServer({
    controller: {
      remove: async () => {
        calls += 1;
      },
    },
  });
  const signal = AbortSignal.abort();
  const isCancelled = (error: unknown) => error instanceof CsiError && error.code === "CANCELLED";
  await assert.rejects(t.client.controller.deleteVolume({ volumeId: "v" }, { signal }), isCancelled);
  assert.equal(calls, 0);
});

test("a year is time enough", async () => {
  await using t = await testServer({ controller: { remove: async () => {} } });
  await t.client.controller.deleteVolume({ volumeId: "v" }, { timeoutMs: 365 * 86_400_000 });
});

test("an answer of ten thousand volumes fits", async () => {
  const entries = Array.from({ length: 10_000 }, (_, index) => ({
    ...aVolume,
    id: `${index}`.padStart(128, "x"),
    context: { long: "y".repeat(1000) },
  }));
  await using t = await testServer({ controller: { list: async () => ({ entries, next: "" }) } });
  assert.equal((await t.client.controller.listVolumes({})).entries.length, 10_000);
});

test("addresses that are not of a unix socket are refused", () => {
  assert.throws(() => connect("tcp://localhost:1"), EndpointError);
});
