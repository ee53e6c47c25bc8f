/** Our driver with the upstream sidecars, unchanged: a claim's whole story, with nothing of our helpers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeClass, makeDriverObject, makeSnapshotClass, makeSpace } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { registerNode } from "../support/cluster/objects.ts";
import { startUpstream } from "../support/cluster/upstream.ts";
import { startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const driverName = "local.csi.holdfast";

test("upstream provisioner, resizer and snapshotter serve our driver unchanged", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const [plane, driver] = await Promise.all([
    startControlPlane(scratch),
    startDriver(scratch, { pools: [`p=image:${disk.path}`], nodeId: "n1" }),
  ]);
  await makeDriverObject(plane, driverName);
  await registerNode(plane, "n1", driver.client);
  await startUpstream(plane, {
    socket: driver.socket,
    env: { NODE_NAME: "n1" },
    sidecars: {
      provisioner: [
        "--node-deployment",
        "--feature-gates=Topology=true",
        "--strict-topology",
        "--extra-create-metadata",
      ],
      resizer: [],
      snapshotter: ["--node-deployment"],
      snapshotController: ["--enable-distributed-snapshotting"],
    },
  });
  await makeClass(plane, "fast", { driver: driverName });
  await makeSnapshotClass(plane, "snap", driverName);
  const space = await makeSpace(plane, "story");
  const volumes = async () => (await driver.client.controller.listVolumes({})).entries.length;

  await t.test("a claim is bound to a volume that only its node has", async () => {
    await space.claim("data", { class: "fast", selectedNode: "n1" });
    const volume = await space.bound("data");
    assert.equal(volume.spec.csi?.driver, driverName);
    assert.match(JSON.stringify(volume.spec.nodeAffinity), /"local.csi.holdfast\/node".*"n1"/);
    assert.equal(await volumes(), 1);
  });

  await t.test("a pod's claim goes where the scheduler puts the pod", async () => {
    await space.claim("with-pod", { class: "fast" });
    await space.pod("user", { claims: { "/data": "with-pod" } });
    await space.bound("with-pod");
    await plane.kubectl("delete", "pod", "--namespace=story", "user", "--force", "--grace-period=0");
    await space.removeClaim("with-pod");
  });

  await t.test("a snapshot is cut, and restored into a new claim; a claim is cloned", async () => {
    await space.snapshot("one", "data", "snap");
    await space.snapshotReady("one");
    assert.equal((await driver.client.controller.listSnapshots({})).entries.length, 1);
    await space.claim("restored", { class: "fast", selectedNode: "n1", fromSnapshot: "one" });
    await space.claim("cloned", { class: "fast", selectedNode: "n1", fromClaim: "data" });
    await space.bound("restored");
    await space.bound("cloned");
    assert.equal(await volumes(), 3);
  });

  await t.test("a claim grows up to the node's part", async () => {
    await space.resize("data", "128Mi");
    await plane.until("the node's part is pending", async () => {
      const { status } = await space.getClaim("data");
      return status.conditions?.find(({ type }) => type === "FileSystemResizePending");
    });
    assert.equal((await space.bound("data")).spec.capacity.storage, "128Mi");
  });

  await t.test("what is deleted is gone from the pool", async () => {
    await space.removeSnapshot("one");
    for (const claim of ["cloned", "restored", "data"]) await space.removeClaim(claim);
    assert.equal(await volumes(), 0);
    assert.equal((await driver.client.controller.listSnapshots({})).entries.length, 0);
  });
});
