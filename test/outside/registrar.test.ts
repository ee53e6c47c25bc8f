/** `holdfast registrar` as a process beside a driver, under a kubelet that comes, goes and refuses. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { holdfast, startDriver } from "../support/driver.ts";
import { startHelper } from "../support/helper.ts";
import { TestKubelet } from "../support/kubelet-plugins.ts";
import { attempt } from "../support/run.ts";
import { type Scratch, scratchFor } from "../support/scratch.ts";

const name = "local.csi.holdfast";

function registryIn(scratch: Scratch): { readonly folder: string; readonly socket: string } {
  const folder = join(scratch.path, "kubelet/plugins_registry");
  mkdirSync(folder, { recursive: true });
  return { folder, socket: join(folder, `${name}-reg.sock`) };
}

function kubeletOver(scratch: Scratch, folder: string, refuse?: () => string | undefined): TestKubelet {
  const kubelet = new TestKubelet(folder, refuse);
  scratch.later(() => kubelet.stop());
  return kubelet;
}

async function untilEvent(kubelet: TestKubelet, event: string): Promise<void> {
  for (const end = Date.now() + 20_000; kubelet.events.at(-1) !== event; await sleep(10)) {
    assert.ok(Date.now() < end, `never '${event}': ${kubelet.events.join(", ")}`);
  }
}

test("it registers, outlives the driver, and its health says what it waits for", async (t) => {
  const scratch = scratchFor(t);
  mkdirSync(join(scratch.path, "pool"));
  const driver = await startDriver(scratch, { pools: [`p=directory:${join(scratch.path, "pool")}`] });
  const { folder, socket } = registryIn(scratch);
  const helper = startHelper(scratch, [
    "registrar",
    "--csi-address",
    driver.socket,
    "--kubelet-dir",
    join(scratch.path, "kubelet"),
    "--kubelet-registration-path",
    "/seen/by/the/kubelet.sock",
  ]);
  const early = await helper.health("/readyz");
  assert.equal(early.status, 500);
  assert.match(early.text, /^\[\+\]driver ok\n\[-\]registrar: the /);
  const kubelet = kubeletOver(scratch, folder);
  await helper.line("the kubelet has registered the driver");
  assert.deepEqual(kubelet.plugins, [{ name, endpoint: "/seen/by/the/kubelet.sock", versions: ["1.0.0"] }]);
  assert.deepEqual(await helper.health("/readyz"), { status: 200, text: "ok" });
  assert.deepEqual(await helper.health("/healthz"), { status: 200, text: "ok" });

  const before = statSync(socket).ino;
  await driver.kill();
  const without = await helper.health("/healthz");
  assert.deepEqual([without.status, /no driver answers/.test(without.text)], [500, true]);
  assert.deepEqual(await helper.health("/livez"), { status: 200, text: "ok" });
  await driver.start();
  // gRPC lets a moment pass before it connects again.
  for (const end = Date.now() + 10_000; (await helper.health("/healthz")).status !== 200; await sleep(50)) {
    assert.ok(Date.now() < end, (await helper.health("/healthz")).text);
  }
  assert.equal(statSync(socket).ino, before);
  assert.deepEqual(kubelet.events, [`registered ${name}`]);

  assert.equal(await helper.stop(), 0);
  assert.equal(existsSync(socket), false);
  await untilEvent(kubelet, `unregistered ${name}`);
});

test("killed, its socket is replaced by the next one; refused, it goes on until it is registered", async (t) => {
  const scratch = scratchFor(t);
  mkdirSync(join(scratch.path, "pool"));
  const driver = await startDriver(scratch, { pools: [`p=directory:${join(scratch.path, "pool")}`] });
  const { folder, socket } = registryIn(scratch);
  const args = ["registrar", "--csi-address", driver.socket, "--plugin-registration-path", folder];
  const first = startHelper(scratch, args);
  const refusals = ["the API server is away"];
  const kubelet = kubeletOver(scratch, folder, () => refusals.shift());
  const refused = await first.line("it is tried again");
  assert.equal(refused["why"], "the kubelet refused: the API server is away");
  await untilEvent(kubelet, `registered ${name}`);
  await first.stop("SIGKILL");
  assert.ok(existsSync(socket), "a killed process leaves its socket");
  const second = startHelper(scratch, args);
  await second.line("the kubelet has registered the driver");
  assert.equal(await second.stop("SIGINT"), 0);
});

test("what can't be is told at once, with exit code 2", async () => {
  for (const args of [
    ["--csi-address", "tcp://127.0.0.1:1"],
    ["--kubelet-dir", "relative"],
    ["--health-port", "http"],
    ["--log-level", "loud"],
  ]) {
    const { code, stderr } = await attempt(holdfast, ["registrar", ...args], { timeoutMs: 10_000 });
    assert.deepEqual([args, code], [args, 2], stderr);
  }
});
