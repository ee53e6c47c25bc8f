/** Snapshots with nothing but what the chart grants a node and the controller, and its policies, in a cluster without a snapshot-controller. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { renderChart } from "../support/cluster/chart.ts";
import { makeSpace } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { ensure, installDefinitions, registerNode, tokenFor } from "../support/cluster/objects.ts";
import { startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const driverName = "local.csi.holdfast";
const contents = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents";

test("snapshots with the rights of the chart and no more", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const plane = await startControlPlane(scratch);
  await installDefinitions(plane, join(import.meta.dirname, "../../deploy/crds"));
  await ensure(plane.api, "/api/v1/namespaces", "holdfast");
  await plane.apply(await renderChart({ "snapshots.enabled": true, "snapshots.controller": true }));
  const kubeletDir = join(scratch.path, "kubelet");
  mkdirSync(join(kubeletDir, "plugins_registry"), { recursive: true });
  // The pod that the token is bound to has to be on the node, which is there only after the driver told of itself.
  await ensure(plane.api, "/api/v1/nodes", "n1");
  const kubeconfig = plane.kubeconfigWith(await tokenFor(plane, "holdfast", "holdfast-node", { node: "n1" }));
  const controllers = plane.kubeconfigWith(await tokenFor(plane, "holdfast", "holdfast-controller", { node: "n1" }));
  await plane.api.remove("/api/v1/nodes/n1");
  const config = join(scratch.path, "n1.yaml");
  writeFileSync(config, JSON.stringify({ kubernetes: { kubeconfig, kubeletDir, namespace: "holdfast" } }));
  const driver = await startDriver(scratch, {
    pools: [`p=image:${disk.path}`],
    nodeId: "n1",
    args: ["--config", config],
  });
  await registerNode(plane, "n1", driver.client);
  const helpers = (["snapshotController", "contentLabeller"] as const).map((name) =>
    startHelper(plane, name, { socket: driver.socket, kubeconfig: controllers }),
  );
  const space = await makeSpace(plane, "users");
  await space.claim("data", { class: "holdfast", selectedNode: "n1" });
  await space.bound("data");

  await space.snapshot("one", "data", "holdfast");
  const content = await space.snapshotReady("one");
  const { status } = await plane.api.get<{ status: { snapshotHandle: string } }>(`${contents}/${content}`);
  await plane.api.merge(`${contents}/${content}`, { spec: { deletionPolicy: "Retain" } });
  await plane.api.remove(`/apis/snapshot.storage.k8s.io/v1/namespaces/users/volumesnapshots/one`);
  await plane.until("only its content is left", async () => {
    const left = await plane.api.list("/apis/snapshot.storage.k8s.io/v1/namespaces/users/volumesnapshots");
    return left.length === 0 || undefined;
  });
  await plane.api.remove(`${contents}/${content}`);
  await space.gone("the content", `${contents}/${content}`);
  await space.existing("again", status.snapshotHandle, driverName, { deletionPolicy: "Delete" });
  await space.snapshotReady("again");
  await space.removeSnapshot("again");
  assert.equal((await driver.client.controller.listSnapshots({})).entries.length, 0);

  for (const log of [driver.log(), ...helpers.map((helper) => helper.log())]) {
    assert.doesNotMatch(log, /forbidden|Forbidden|: 403/, "nothing was asked for in vain");
  }
});
