/** The tests' own cluster does what tests count on. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { openApi } from "../support/cluster/api.ts";
import { makeSpace } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHoldfast } from "../support/cluster/holdfast.ts";
import { makeNode, tokenFor } from "../support/cluster/objects.ts";
import { until } from "../support/cluster/service.ts";
import { processesOf } from "../support/leftovers.ts";
import { run } from "../support/run.ts";
import { scratchFor } from "../support/scratch.ts";

const support = join(import.meta.dirname, "../support");

interface Review {
  readonly status: { readonly userInfo: { readonly username: string; readonly extra: Record<string, string[]> } };
}

test("a machine and all in it end with the test, also when that is killed", async (t) => {
  const scratch = scratchFor(t);
  const script = `
    const { makeScratch } = await import("${support}/scratch.ts");
    const { startMachine } = await import("${support}/cluster/machine.ts");
    const machine = await startMachine(makeScratch(), "n1", []);
    // As a shim of containerd: nobody's child but the first process's.
    await machine.run("sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &");
    console.log(machine.pid);
    setInterval(() => {}, 1000);`;
  const child = spawn(join(support, "../../bin/holdfast-node"), ["--input-type=module", "--eval", script], {
    env: { ...process.env, TMPDIR: scratch.path },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  assert.equal(
    processesOf(scratch.path).some(({ command }) => command === "sleep 1000"),
    true,
  );
  child.kill("SIGKILL");
  await once(child, "exit");
  const gone = () => (processesOf(scratch.path).length === 0 ? true : undefined);
  await until("all its processes are gone", gone, { withinMs: 5_000 });
});

test("control plane", async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  const space = await makeSpace(plane, "harness");

  await t.test("a node made by hand takes pods", async () => {
    await makeNode(plane, "n1", { labels: { zone: "a" } });
    await space.pod("p");
    await plane.until("the pod has its node", async () => {
      const pod = await plane.api.get<{ spec: { nodeName?: string } }>("/api/v1/namespaces/harness/pods/p");
      return pod.spec.nodeName;
    });
  });

  await t.test("a pod's token names its node; one that is bound to nothing names none", async () => {
    const whoIs = async (token: string) => {
      const api = openApi(plane.server, plane.authority.certificate, { token });
      const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
      const { userInfo } = (await api.create<Review>(path, {})).status;
      api.close();
      assert.equal(userInfo.username, "system:serviceaccount:harness:driver");
      return userInfo.extra["authentication.kubernetes.io/node-name"];
    };
    assert.deepEqual(await whoIs(await tokenFor(plane, "harness", "driver", { node: "n1" })), ["n1"]);
    assert.equal(await whoIs(await tokenFor(plane, "harness", "driver")), undefined);
  });

  await t.test("kubeconfigs speak as their user", async () => {
    const token = await tokenFor(plane, "harness", "driver");
    for (const [config, name] of [
      [await plane.kubeconfigOf("somebody", ["some-group"]), "somebody"],
      [plane.kubeconfigWith(token), "system:serviceaccount:harness:driver"],
    ] as const) {
      const said = await run("env", [`KUBECONFIG=${config}`, plane.kubectlPath, "auth", "whoami", "-o", "json"]);
      assert.equal((JSON.parse(said) as Review).status.userInfo.username, name);
    }
  });

  await t.test("the API server stops and comes again with what it knew", async () => {
    await plane.apiServer.kill();
    await assert.rejects(plane.api.get("/readyz"), /ECONNREFUSED|socket hang up|ECONNRESET/);
    await plane.startApiServer();
    assert.equal((await plane.api.list("/api/v1/nodes")).length, 1);
  });

  await t.test("a program of ours is watched, and its log is in the error of a wait that failed", async () => {
    const service = startHoldfast(plane, ["--version"], { name: "version" });
    await plane.until("it ended", () => !service.running || undefined);
    await assert.rejects(
      plane.until("never", () => undefined, { withinMs: 1 }),
      /never: not within 1 ms\n--- log of version\n.*\d+\.\d+\.\d+/s,
    );
  });
});
