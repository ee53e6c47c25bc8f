/** Shared pools with the rights of the chart: the controller does all, a node's token can do nothing. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ApiError, openApi } from "../support/cluster/api.ts";
import { renderChart } from "../support/cluster/chart.ts";
import { makeSpace } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { ensure, installDefinitions, registerNode, tokenFor } from "../support/cluster/objects.ts";
import { snapshotDefinitions } from "../support/cluster/upstream.ts";
import { startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const attachments = "/apis/storage.k8s.io/v1/volumeattachments";

test("shared pools with the rights of the chart and no more", async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  await installDefinitions(plane, snapshotDefinitions);
  await ensure(plane.api, "/api/v1/namespaces", "holdfast");
  const disk = await makePoolDisk(scratch, "xfs");
  const pools = [{ name: "p", backend: "image", path: disk.path, shared: true }];
  const storageClasses = [{ name: "holdfast", volumeBindingMode: "Immediate" }];
  await plane.apply(await renderChart({ "snapshots.controller": true, pools, storageClasses }));

  const kubeletDir = join(scratch.path, "kubelet");
  mkdirSync(join(kubeletDir, "plugins_registry"), { recursive: true });
  await ensure(plane.api, "/api/v1/nodes", "n1");
  const token = await tokenFor(plane, "holdfast", "holdfast-node", { node: "n1" });
  const start = async (role: "node" | "controller", kubeconfig: string) => {
    const config = join(scratch.path, `${role}.yaml`);
    const kubernetes = { role, kubeconfig, kubeletDir, namespace: "holdfast", snapshotController: true };
    writeFileSync(config, JSON.stringify({ kubernetes }));
    return startDriver(scratch, {
      pools: [`p=image:${disk.path},shared=true`],
      nodeId: "n1",
      args: ["--config", config],
    });
  };
  const node = await start("node", plane.kubeconfigWith(token));
  const forController = await tokenFor(plane, "holdfast", "holdfast-controller", { node: "n1" });
  const controller = await start("controller", plane.kubeconfigWith(forController));
  await plane.api.remove("/api/v1/nodes/n1");
  await registerNode(plane, "n1", node.client);
  const space = await makeSpace(plane, "users");

  await t.test("a claim is bound, attached, cut, restored and grown by the controller", async () => {
    await space.claim("data", { class: "holdfast" });
    const { metadata } = await space.bound("data");
    assert.match(metadata.name, /^pvc-/);
    await plane.api.create(attachments, {
      metadata: { name: "a" },
      spec: { attacher: "shared.csi.holdfast", nodeName: "n1", source: { persistentVolumeName: metadata.name } },
    });
    await plane.until("it is attached", async () => {
      const { status } = await plane.api.get<{ status?: { attached: boolean } }>(`${attachments}/a`);
      return status?.attached || undefined;
    });
    await plane.api.remove(`${attachments}/a`);
    await space.gone("the attachment", `${attachments}/a`);
    await space.snapshot("cut", "data", "holdfast");
    await space.snapshotReady("cut");
    await space.claim("restored", { class: "holdfast", fromSnapshot: "cut" });
    await space.bound("restored");
    await space.resize("data", "128Mi");
    await plane.until("the volume has grown", async () => {
      const { spec } = await space.bound("data");
      return spec.capacity.storage === "128Mi" || undefined;
    });
    await space.removeClaim("restored");
    await space.removeSnapshot("cut");
    await space.removeClaim("data");
    assert.equal((await controller.client.controller.listVolumes({})).entries.length, 0);
  });

  await t.test("a node's token reads and writes nothing", async () => {
    const thief = openApi(plane.server, plane.authority.certificate, { token });
    scratch.later(() => thief.close());
    const asked = [
      () => thief.get("/api/v1/persistentvolumes"),
      () => thief.get("/api/v1/persistentvolumeclaims"),
      () => thief.get("/api/v1/secrets"),
      () => thief.create("/api/v1/persistentvolumes", { metadata: { name: "x" } }),
      () => thief.create("/apis/coordination.k8s.io/v1/namespaces/holdfast/leases", { metadata: { name: "x" } }),
      () => thief.remove(`${attachments}/a`),
    ];
    for (const answer of asked) {
      await assert.rejects(answer(), (error) => error instanceof ApiError && /forbidden/i.test(error.message));
    }
  });

  await t.test("nothing was refused on the way", () => {
    const refused = `${node.log()}${controller.log()}`
      .split("\n")
      .filter((line) => /forbidden|denied request/.test(line));
    assert.deepEqual(refused, []);
  });
});
