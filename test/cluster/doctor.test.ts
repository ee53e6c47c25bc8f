/** `holdfast doctor --kubernetes` against a cluster that has what it should, and against one that lacks it. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { renderChart } from "../support/cluster/chart.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { ensure, installDefinitions, makeNode, registerNode, tokenFor } from "../support/cluster/objects.ts";
import { snapshotDefinitions } from "../support/cluster/upstream.ts";
import { holdfast, startDriver } from "../support/driver.ts";
import { TestKubelet } from "../support/kubelet-plugins.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { attempt } from "../support/run.ts";
import { scratchFor } from "../support/scratch.ts";

interface Finding {
  readonly level: "ok" | "warning" | "error";
  readonly what: string;
  readonly told: string;
  readonly fix?: string;
}

const driverName = "local.csi.holdfast";
const subjects = [
  "registration",
  "Node",
  "CSINode",
  "CSIDriver",
  "StorageClass",
  "roles",
  "policies",
  "controller",
  "snapshot kinds",
  "snapshot class",
  "snapshot-controller",
  "cluster",
];

test("doctor --kubernetes", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const kubeletDir = join(scratch.path, "kubelet");
  mkdirSync(join(kubeletDir, "plugins_registry"), { recursive: true });
  const plane = await startControlPlane(scratch);
  const config = join(scratch.path, "holdfast.yaml");
  writeFileSync(
    config,
    `kubernetes: { kubeconfig: ${plane.admin}, kubeletDir: ${kubeletDir}, namespace: holdfast }\npools: [{ name: p, backend: image, path: ${disk.path} }]\n`,
  );
  const examine = async (...more: string[]) => {
    const args = ["doctor", "--config", config, "--node-id", "n1", "--output", "json", ...more];
    const { stdout, stderr } = await attempt(holdfast, args, { timeoutMs: 60_000, env: { KUBECONFIG: "" } });
    assert.notEqual(stdout, "", stderr);
    const found = (JSON.parse(stdout) as Finding[]).filter(({ what }) => subjects.includes(what));
    const of = (what: string) => found.filter((each) => each.what === what);
    return { found, of, levels: Object.fromEntries(found.map(({ what, level }) => [what, level])) };
  };

  await t.test("an empty cluster: each thing that is missing is an error or a warning, with its fix", async () => {
    const { found, levels } = await examine();
    assert.deepEqual(levels, {
      registration: "error",
      Node: "error",
      CSIDriver: "error",
      StorageClass: "warning",
      roles: "warning",
      policies: "error",
      controller: "error",
      "snapshot kinds": "warning",
    });
    for (const { what, fix } of found) assert.notEqual(fix ?? "", "", what);
  });

  await installDefinitions(plane, snapshotDefinitions);
  await ensure(plane.api, "/api/v1/namespaces", "holdfast");
  await plane.apply(await renderChart({ "snapshots.enabled": true }));
  const kubelet = new TestKubelet(join(kubeletDir, "plugins_registry"));
  scratch.later(() => kubelet.stop());
  const driver = await startDriver(scratch, {
    pools: [`p=image:${disk.path}`],
    nodeId: "n1",
    args: ["--config", config],
  });
  const socket = ["--csi-address", driver.socket];

  await t.test("the driver runs, and the kubelet has not registered it", async () => {
    await makeNode(plane, "n1");
    const { of, levels } = await examine(...socket);
    assert.equal(levels["registration"], "ok");
    assert.match(of("CSINode")[0]?.told ?? "", /n1 has no entry for local.csi.holdfast \(it has none\)/);
  });

  await plane.api.remove("/apis/storage.k8s.io/v1/csinodes/n1");
  await plane.api.remove("/api/v1/nodes/n1");
  await registerNode(plane, "n1", driver.client);

  await t.test("all is there but the controller and a snapshot-controller", async () => {
    const { found, of, levels } = await examine(...socket);
    const told = JSON.stringify(found, null, 1);
    assert.deepEqual([levels["registration"], levels["CSINode"], levels["CSIDriver"]], ["ok", "ok", "ok"], told);
    assert.deepEqual([levels["StorageClass"], levels["policies"]], ["ok", "ok"], told);
    assert.match(
      of("roles")[0]?.told ?? "",
      /system:serviceaccount:holdfast:holdfast-node may do all \d+ things/,
      told,
    );
    assert.deepEqual([levels["controller"], levels["snapshot-controller"]], ["error", "warning"], told);
    const controller = await examine("--kubernetes=controller", ...socket);
    assert.match(controller.of("roles")[0]?.told ?? "", /holdfast-controller may do all/, told);
  });

  await t.test(
    "with the token of a pod on the node: its roles are looked at, and what it may not see is said",
    async () => {
      const kubeconfig = plane.kubeconfigWith(await tokenFor(plane, "holdfast", "holdfast-node", { node: "n1" }));
      const { of, levels } = await examine("--kubeconfig", kubeconfig, ...socket);
      assert.match(of("roles")[0]?.told ?? "", /system:serviceaccount:holdfast:holdfast-node may do all/);
      assert.deepEqual([levels["CSINode"], levels["policies"], levels["controller"]], ["ok", "warning", "warning"]);
      assert.match(of("policies")[0]?.told ?? "", /may not look/);
    },
  );

  await t.test(
    "a rule that is gone, a policy that is gone, an object that is wrong, a foreign snapshot-controller",
    async () => {
      const role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/holdfast-node";
      const { rules } = await plane.api.get<{ rules: { resources: string[] }[] }>(role);
      await plane.api.merge(role, { rules: rules.filter(({ resources }) => !resources.includes("events")) });
      const admission = "/apis/admissionregistration.k8s.io/v1";
      await plane.api.remove(`${admission}/validatingadmissionpolicybindings/holdfast-node-claims`);
      await plane.api.remove(`/apis/storage.k8s.io/v1/csidrivers/${driverName}`);
      await plane.api.create("/apis/storage.k8s.io/v1/csidrivers", {
        metadata: { name: driverName },
        spec: { attachRequired: true, podInfoOnMount: true, storageCapacity: true },
      });
      const labels = { app: "snapshot-controller" };
      const image = "registry.k8s.io/sig-storage/snapshot-controller:v8.7.0";
      await plane.api.create("/apis/apps/v1/namespaces/kube-system/deployments", {
        metadata: { name: "snapshot-controller" },
        spec: {
          replicas: 0,
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: { containers: [{ name: "c", image, args: ["--leader-election=true"] }] },
          },
        },
      });
      const { of } = await examine(...socket);
      assert.match(of("roles")[0]?.told ?? "", /may not create, patch events$/);
      assert.match(of("policies")[0]?.told ?? "", /^missing, or not enforced: claims$/);
      assert.match(of("CSIDriver")[0]?.told ?? "", /attachRequired: true/);
      assert.match(
        of("snapshot-controller")[0]?.told ?? "",
        /kube-system\/snapshot-controller runs without distributed/,
      );
    },
  );

  await t.test("the API server is away: the node's own findings are there all the same", async () => {
    await plane.apiServer.kill();
    const { levels } = await examine(...socket);
    assert.deepEqual(levels, { registration: "ok", cluster: "error" });
    await plane.startApiServer();
  });
});
