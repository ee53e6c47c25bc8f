import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import { type Check, type HealthChecks, startHealth } from "./health.ts";
import { parseHealthPort } from "./health-port.ts";

const well: Check = { name: "driver", run: () => undefined };
const loopback = { host: "127.0.0.1", port: 0 };

async function asked(checks: Partial<HealthChecks>, path: string, timeoutMs?: number, method = "GET") {
  const server = await startHealth(loopback, { healthz: [], livez: [], readyz: [], ...checks }, timeoutMs);
  try {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    return { status: response.status, text: await response.text() };
  } finally {
    await server.close();
    await server.close();
  }
}

test("what is well is 200 and ok, as livenessprobe answers, with the checks when asked for", async () => {
  assert.deepEqual(await asked({ healthz: [well] }, "/healthz"), { status: 200, text: "ok" });
  assert.deepEqual(await asked({ livez: [well] }, "/livez?verbose"), { status: 200, text: "[+]driver ok\n" });
});

test("one failing check makes 500, and each says what it found", async () => {
  const checks = [well, { name: "registrar", run: async () => "the kubelet\nhas not asked" }];
  assert.deepEqual(await asked({ readyz: checks }, "/readyz"), {
    status: 500,
    text: "[+]driver ok\n[-]registrar: the kubelet has not asked\n",
  });
  assert.deepEqual(await asked({ readyz: checks, livez: [well] }, "/livez"), { status: 200, text: "ok" });
});

test("a check that throws or hangs fails", async () => {
  const throwing = { name: "a", run: () => Promise.reject(new Error("no driver answers")) };
  const hanging = { name: "b", run: () => new Promise<undefined>(() => {}) };
  assert.deepEqual(await asked({ healthz: [throwing, hanging] }, "/healthz", 50), {
    status: 500,
    text: "[-]a: no driver answers\n[-]b: no answer within 50 ms\n",
  });
});

test("what is no path harms nobody", async (t) => {
  const server = await startHealth(loopback, { healthz: [well], livez: [], readyz: [] });
  t.after(() => server.close());
  for (const path of ["//", "http://[", "*", "/%", "/constructor", "/healthz/"]) {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const asking = request({ host: "127.0.0.1", port: server.port, path }, (answer) => resolve(answer.statusCode));
      asking.once("error", reject).end();
    });
    assert.equal(status, 404, path);
  }
});

test("another path is 404, another method 405", async () => {
  assert.equal((await asked({}, "/metrics")).status, 404);
  assert.equal((await asked({}, "/healthz", undefined, "POST")).status, 405);
});

test("a port that is taken is an error", async () => {
  const none = { healthz: [], livez: [], readyz: [] };
  const first = await startHealth(loopback, none);
  await assert.rejects(startHealth({ ...loopback, port: first.port }, none), /EADDRINUSE/);
  await first.close();
});

test("ports", () => {
  assert.deepEqual(parseHealthPort("9808"), { port: 9808 });
  assert.deepEqual(parseHealthPort("127.0.0.1:9808"), { host: "127.0.0.1", port: 9808 });
  assert.deepEqual(parseHealthPort("[::1]:0"), { host: "::1", port: 0 });
  for (const wrong of ["", "http", "70000", ":80", "1.5", "127.0.0.1"])
    assert.throws(() => parseHealthPort(wrong), /is not a port/);
});
