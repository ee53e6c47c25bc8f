/** `holdfast serve --kubernetes` on a node: the driver, made known to a kubelet by its own process. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startDriver } from "../support/driver.ts";
import { TestKubelet } from "../support/kubelet-plugins.ts";
import { type Scratch, scratchFor } from "../support/scratch.ts";

const name = "local.csi.holdfast";

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await holds()); await sleep(20)) {
    assert.ok(Date.now() < end, `never: ${what}`);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function startNode(scratch: Scratch, more: readonly string[] = []) {
  const kubeletDir = join(scratch.path, "kubelet");
  const registry = join(kubeletDir, "plugins_registry");
  mkdirSync(registry, { recursive: true });
  mkdirSync(join(scratch.path, "pool"));
  const config = join(scratch.path, "holdfast.yaml");
  writeFileSync(config, `kubernetes: { kubeletDir: ${kubeletDir}, registrationPath: /seen/csi.sock }\n`);
  const port = await freePort();
  const driver = await startDriver(scratch, {
    pools: [`p=directory:${join(scratch.path, "pool")}`],
    args: ["--config", config, "--health-port", `127.0.0.1:${port}`, ...more],
    env: { KUBECONFIG: "" },
  });
  const health = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined);
    return response && { status: response.status, text: await response.text() };
  };
  return { driver, registry, kubeletDir, health };
}

test("the driver registers itself, says so by its health, and goes on without a kubelet", async (t) => {
  const scratch = scratchFor(t);
  const { driver, registry, health } = await startNode(scratch);
  await until("health answers", async () => (await health("/healthz"))?.status === 200);
  assert.deepEqual(await health("/livez"), { status: 200, text: "ok" });
  const waiting = await health("/readyz");
  assert.equal(waiting?.status, 500);
  assert.match(waiting?.text ?? "", /\[-\]registrar: the kubelet has not asked/);

  const refusals = ["node not found"];
  const kubelet = new TestKubelet(registry, () => refusals.shift());
  scratch.later(() => kubelet.stop());
  // Without a cluster the other helpers are not ready, and say so.
  await until("registered", async () => /^\[\+\]registrar ok$/m.test((await health("/readyz"))?.text ?? ""));
  assert.match((await health("/readyz"))?.text ?? "", /^\[-\]provisioner: .*--kubeconfig/m);
  assert.deepEqual(kubelet.plugins.at(-1), { name, endpoint: "/seen/csi.sock", versions: ["1.0.0"] });
  assert.equal(kubelet.events.at(-1), `registered ${name}`);

  assert.equal(await driver.stop(), 0);
  assert.equal(existsSync(join(registry, `${name}-reg.sock`)), false);
  await until("unregistered", () => kubelet.events.at(-1) === `unregistered ${name}`);
  assert.match(driver.log(), /"msg":"stopped"/);
});

test("killed and started again it is registered again", async (t) => {
  const scratch = scratchFor(t);
  const { driver, registry } = await startNode(scratch);
  const kubelet = new TestKubelet(registry);
  scratch.later(() => kubelet.stop());
  await until("registered", () => kubelet.events.at(-1) === `registered ${name}`);
  await driver.crash();
  await until("registered again", () => kubelet.events.filter((event) => event === `registered ${name}`).length === 2);
});

test("a folder that is no kubelet's does not stop the driver", async (t) => {
  const scratch = scratchFor(t);
  const { driver, registry } = await startNode(scratch);
  rmSync(registry, { recursive: true });
  await driver.crash();
  assert.equal((await driver.client.identity.probe({})).ready, true);
  await until("a word", () => driver.log().includes("the directory of the socket is missing"));
});
