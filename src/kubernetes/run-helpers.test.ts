import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { startServer } from "../csi/server.ts";
import { surprise } from "../observe/apart.ts";
import { createLog } from "../observe/log.ts";
import { startTestApi } from "./api/test-server.ts";
import type { HelperContext } from "./helper.ts";
import { type ClusterContext, type Helper, type HelperSet, type RunningHelpers, startHelpers } from "./run-helpers.ts";

let scratch = "";
let lines: string[] = [];
let stop = new AbortController();
let cleanUp: (() => unknown)[] = [];

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "holdfast-helpers-"));
  lines = [];
  stop = new AbortController();
  cleanUp = [];
});
afterEach(async () => {
  stop.abort();
  for (const end of cleanUp.reverse()) await end();
  await rm(scratch, { recursive: true, force: true });
});

const log = createLog({ level: "debug", format: "json", destination: { write: (line) => lines.push(line) } });
const logged = (text: string) => lines.filter((line) => line.includes(text)).length;
const socket = () => join(scratch, "csi.sock");

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!holds()) {
    assert(Date.now() < end, `never: ${what}\n${lines.join("")}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function startDriver(vendorVersion = "1") {
  const server = await startServer({
    endpoint: socket(),
    services: new Set(["identity"]),
    rules: { readiness: { ready: async () => undefined } },
    info: { driverName: "some.csi.driver", vendorVersion },
    log: createLog({ level: "silent", format: "json" }),
  });
  const end = () => server.stop({ graceMs: 0 });
  cleanUp.push(end);
  return end;
}

function start({
  helpers,
  node,
  ...more
}: Partial<HelperSet> & { readonly helpers: readonly Helper[]; readonly node?: string }): RunningHelpers {
  const running = startHelpers({
    beside: { csiAddress: socket(), helpers, ...(node === undefined ? {} : { node }) },
    userAgent: "test",
    log,
    signal: stop.signal,
    timing: { firstWait: 10, longestWait: 40, look: 20 },
    ...more,
  });
  cleanUp.push(() => running.ended);
  return running;
}

/** A helper that works until its signal, and notes its contexts. */
function worker(name = "worker") {
  const contexts: HelperContext[] = [];
  let ended = 0;
  const run = (context: HelperContext) =>
    new Promise<void>((resolve) => {
      contexts.push(context);
      context.signal.addEventListener("abort", () => {
        ended += 1;
        resolve();
      });
    });
  return { name, run, contexts, ended: () => ended };
}

test("a helper gets the driver's facts, the cluster and its node, and ends with the signal", async () => {
  await startDriver();
  await using api = await startTestApi();
  const helper = worker();
  const running = start({ helpers: [helper], cluster: api.cluster, node: "a" });
  await until("it runs", () => helper.contexts.length === 1);
  const [context] = helper.contexts;
  assert.deepEqual([context?.driver.name, context?.driver.version, context?.node], ["some.csi.driver", "1", "a"]);
  assert.equal(running.waitsFor("worker"), undefined);
  stop.abort();
  await running.ended;
  assert.equal(helper.ended(), 1);
});

test("no driver and no cluster are waited for, and said", async () => {
  const helper = worker();
  const running = start({ helpers: [helper], cluster: join(scratch, "kubeconfig") });
  await until("a word about the kubeconfig", () => logged("ENOENT") > 0);
  assert.match(running.waitsFor("worker") ?? "", /kubeconfig/);
  await using api = await startTestApi();
  const second = start({ helpers: [helper], cluster: api.cluster });
  assert.notEqual(second.waitsFor("worker"), undefined);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(helper.contexts.length, 0);
  await startDriver();
  await until("it runs", () => helper.contexts.length === 1);
  stop.abort();
  await second.ended;
});

test("one that fails is begun again, with a signal of its own, and the others go on", async () => {
  await startDriver();
  await using api = await startTestApi();
  const steady = worker("steady");
  const signals: AbortSignal[] = [];
  const failing = {
    name: "failing",
    run: async ({ signal }: HelperContext) => {
      signals.push(signal);
      throw new Error("out of luck");
    },
  };
  const running = start({ helpers: [failing, steady], cluster: api.cluster });
  await until("it was begun three times", () => signals.length >= 3);
  assert.equal(signals[0]?.aborted, true);
  assert.deepEqual([steady.contexts.length, steady.ended()], [1, 0]);
  await until("the failure is told", () => running.waitsFor("failing") === "out of luck");
  assert.equal(running.waitsFor("steady"), undefined);
  stop.abort();
  await running.ended;
});

test("with a Lease one of two works; when it ends the other takes over", async () => {
  await startDriver();
  await using api = await startTestApi();
  const [one, two] = [worker(), worker()];
  const lease = { namespace: "ns", name: (driver: string) => `${driver}-worker` };
  const first = new AbortController();
  const ending = start({ helpers: [one], cluster: api.cluster, lease, signal: first.signal });
  await until("the first leads", () => one.contexts.length === 1);
  const second = start({ helpers: [two], cluster: api.cluster, lease });
  await until("the second waits", () => logged("another leads") === 1);
  assert.equal(second.waitsFor("worker"), undefined);
  assert.ok(api.objects.has("/apis/coordination.k8s.io/v1/namespaces/ns/leases/some.csi.driver-worker"));
  first.abort();
  await ending.ended;
  assert.equal(one.ended(), 1);
  await until("the second leads", () => two.contexts.length === 1);
  stop.abort();
  await second.ended;
});

test("another version of the driver behind the socket is learned; the same one again changes nothing", async () => {
  const end = await startDriver("1");
  await using api = await startTestApi();
  const helper = worker();
  const running = start({ helpers: [helper], cluster: api.cluster });
  await until("it runs", () => helper.contexts.length === 1);
  await end();
  const again = await startDriver("1");
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(helper.contexts.length, 1);
  await again();
  await startDriver("2");
  await until("it is begun again", () => helper.contexts.length === 2);
  assert.deepEqual([helper.contexts[1]?.driver.version, helper.ended()], ["2", 1]);
  stop.abort();
  await running.ended;
});

test("those that look after the cluster need no driver, alone and beside others", async () => {
  await using api = await startTestApi();
  const contexts: ClusterContext[] = [];
  const looking = {
    name: "looking",
    run: (context: ClusterContext) =>
      new Promise<void>((resolve) => {
        contexts.push(context);
        context.signal.addEventListener("abort", () => resolve());
      }),
  };
  const alone = { driverName: "some.csi.driver", helpers: [looking] };
  const common = { cluster: api.cluster, userAgent: "test", log, signal: stop.signal };
  const lease = { namespace: "ns", name: (driver: string) => `${driver}-controller` };
  const first = startHelpers({ ...common, alone, lease });
  cleanUp.push(() => first.ended);
  await until("it runs without a driver", () => contexts.length === 1);
  assert.ok(api.objects.has("/apis/coordination.k8s.io/v1/namespaces/ns/leases/some.csi.driver-controller"));
  await startDriver();
  const helper = worker();
  const second = start({ ...common, alone, helpers: [helper] });
  await until("both run", () => contexts.length === 2 && helper.contexts.length === 1);
  assert.equal(second.waitsFor("looking"), undefined);
  stop.abort();
  await Promise.all([first.ended, second.ended]);
});

test("an error that nobody caught begins all of them again, and harms nobody else", async () => {
  await startDriver();
  await using api = await startTestApi();
  const helper = worker();
  let broke = 0;
  const breaking = {
    name: "breaking",
    run: async ({ signal }: HelperContext) => {
      if (broke === 0) {
        broke += 1;
        // As the process's handler of uncaught errors does, in the same context.
        setTimeout(() => assert.ok(surprise(new Error("nobody caught it"))), 10);
        // It does not even end when it is told to.
        await new Promise(() => {});
      }
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    },
  };
  const running = start({ helpers: [breaking, helper], cluster: api.cluster });
  await until("it is begun again", () => helper.contexts.length === 2);
  assert.deepEqual([helper.ended(), logged("nobody caught it")], [1, 1]);
  assert.equal(running.waitsFor("breaking"), undefined);
  assert.equal(surprise(new Error("of the main work")), false);
});
