/** Two nodes and the controller with nothing but what the chart grants them, and its policies: the whole story of claims still passes. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { renderChart } from "../support/cluster/chart.ts";
import { makeClass, makeSpace, type Volume } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHoldfast } from "../support/cluster/holdfast.ts";
import { ensure, installDefinitions, registerNode, tokenFor } from "../support/cluster/objects.ts";
import { snapshotDefinitions } from "../support/cluster/upstream.ts";
import { startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const driverName = "local.csi.holdfast";
const selectedNode = "volume.kubernetes.io/selected-node";
const names = ["n1", "n2"] as const;
type Name = (typeof names)[number];

test("with the rights of the chart and no more", async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  await installDefinitions(plane, snapshotDefinitions);
  await ensure(plane.api, "/api/v1/namespaces", "holdfast");
  await plane.apply(await renderChart({ "snapshots.controller": true }));
  await makeClass(plane, "now", { driver: driverName, binding: "Immediate" });

  const start = async (node: Name) => {
    const disk = await makePoolDisk(scratch, "xfs");
    const kubeletDir = join(scratch.path, `kubelet-${node}`);
    mkdirSync(join(kubeletDir, "plugins_registry"), { recursive: true });
    const config = join(scratch.path, `${node}.yaml`);
    // The pod that the token is bound to has to be on the node, which is there only after the driver told of itself.
    await ensure(plane.api, "/api/v1/nodes", node);
    const kubeconfig = plane.kubeconfigWith(await tokenFor(plane, "holdfast", "holdfast-node", { node }));
    await plane.api.remove(`/api/v1/nodes/${node}`);
    const kubernetes = { kubeconfig, kubeletDir, namespace: "holdfast" };
    writeFileSync(config, JSON.stringify({ kubernetes }));
    const args = ["--config", config];
    const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`], nodeId: node, args });
    await registerNode(plane, node, driver.client);
    return driver;
  };
  const drivers = { n1: await start("n1"), n2: await start("n2") };
  const token = await tokenFor(plane, "holdfast", "holdfast-controller", { node: "n1" });
  const config = join(scratch.path, "controller.yaml");
  const kubernetes = { kubeconfig: plane.kubeconfigWith(token), namespace: "holdfast", snapshotController: true };
  writeFileSync(config, JSON.stringify({ driverName, kubernetes }));
  const controller = startHoldfast(plane, ["serve", "--kubernetes=controller", "--config", config]);

  const space = await makeSpace(plane, "users");
  const nodeOf = ({ spec }: Volume) => /"values":\["(n\d)"\]/.exec(JSON.stringify(spec.nodeAffinity))?.[1];
  const selected = async (claim: string) => (await space.getClaim(claim)).metadata.annotations?.[selectedNode];
  const volumes = async (node: Name) => (await drivers[node].client.controller.listVolumes({})).entries.length;

  await t.test("claims are bound on the nodes that they selected, or that were selected for them", async () => {
    await space.claim("one", { class: "holdfast", selectedNode: "n1" });
    await space.claim("two", { class: "holdfast", selectedNode: "n2" });
    await space.claim("any", { class: "now" });
    assert.equal(nodeOf(await space.bound("one")), "n1");
    assert.equal(nodeOf(await space.bound("two")), "n2");
    assert.equal(nodeOf(await space.bound("any")), await selected("any"));
  });

  await t.test("a snapshot, its restore and a clone, also where another node was selected", async () => {
    await space.snapshot("cut", "one", "holdfast");
    await space.snapshotReady("cut");
    await space.claim("restored", { class: "holdfast", selectedNode: "n2", fromSnapshot: "cut" });
    await space.claim("cloned", { class: "now", fromClaim: "one" });
    for (const name of ["restored", "cloned"]) {
      assert.equal(nodeOf(await space.bound(name)), "n1");
      await plane.until(`${name} names the node that has its volume`, async () =>
        (await selected(name)) === "n1" ? true : undefined,
      );
    }
  });

  await t.test("volumes grow, those of restores and clones too", async () => {
    for (const name of ["one", "two", "restored", "cloned"]) {
      await space.resize(name, "128Mi");
      await plane.until(`${name} waits for the node's part`, async () => {
        const { status } = await space.getClaim(name);
        return (
          status.allocatedResourceStatuses?.["storage"] ?? status.conditions?.find(({ status }) => status === "True")
        );
      });
    }
  });

  await t.test("a selection without room is given back", async () => {
    await space.claim("huge", { class: "holdfast", size: "1Ti", selectedNode: "n2" });
    await space.said(/huge ProvisioningFailed/);
    await plane.until("it selects nothing", async () => ((await selected("huge")) === undefined ? true : undefined));
    await space.removeClaim("huge");
  });

  await t.test("all of it goes when it is deleted", async () => {
    for (const name of ["restored", "cloned", "any"]) await space.removeClaim(name);
    await space.removeSnapshot("cut");
    for (const name of ["one", "two"]) await space.removeClaim(name);
    assert.deepEqual([await volumes("n1"), await volumes("n2")], [0, 0]);
  });

  await t.test("nothing was refused on the way", () => {
    const logs = [...names.map((node) => drivers[node].log()), controller.log()].join("");
    const refused = logs.split("\n").filter((line) => /forbidden|denied request/.test(line));
    assert.deepEqual(refused, []);
  });
});
