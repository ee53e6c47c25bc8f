/** Our provisioner, on one node with a local pool: what a claim meets from its making to its end. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeClass, makeDriverObject, makeSpace } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { registerNode } from "../support/cluster/objects.ts";
import { startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const driverName = "local.csi.holdfast";

test("the provisioner of a node", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const [plane, driver] = await Promise.all([
    startControlPlane(scratch),
    startDriver(scratch, { pools: [`p=image:${disk.path}`], nodeId: "n1" }),
  ]);
  await makeDriverObject(plane, driverName);
  await registerNode(plane, "n1", driver.client);
  await makeClass(plane, "fast", { driver: driverName });
  const space = await makeSpace(plane, "mine");
  const volumes = async () => (await driver.client.controller.listVolumes({})).entries.length;
  const options = { intentsFolder: `${scratch.path}/intents`, firstWaitMs: 200, longestWaitMs: 1000 };
  const helper = startHelper(plane, "provisioner", { socket: driver.socket, node: "n1", options });

  await t.test("a claim that selected the node is bound, and its volume goes with it", async () => {
    await space.claim("data", { class: "fast", selectedNode: "n1" });
    await space.bound("data");
    assert.equal(await volumes(), 1);
    await space.removeClaim("data");
    assert.equal(await volumes(), 0);
  });

  const told = (pattern: RegExp) =>
    plane.until(`an event like ${pattern}`, async () => (await space.events()).find((line) => pattern.test(line)));
  type Spec = { volumeMode: string; accessModes: string[]; mountOptions?: string[]; csi: { fsType?: string } };

  await t.test("a raw volume, one for a single pod, and what the class says of file system and mount", async () => {
    await makeClass(plane, "xfs", {
      driver: driverName,
      parameters: { "csi.storage.k8s.io/fstype": "xfs" },
      mountOptions: ["noatime"],
    });
    await space.claim("raw", { class: "xfs", selectedNode: "n1", block: true });
    await space.claim("one", { class: "xfs", selectedNode: "n1", mode: "ReadWriteOncePod", size: "320Mi" });
    const raw = (await space.bound("raw")).spec as unknown as Spec;
    const one = (await space.bound("one")).spec as unknown as Spec;
    assert.deepEqual([raw.volumeMode, raw.csi.fsType], ["Block", undefined]);
    assert.deepEqual([one.volumeMode, one.csi.fsType, one.mountOptions], ["Filesystem", "xfs", ["noatime"]]);
    assert.deepEqual(one.accessModes, ["ReadWriteOncePod"]);
    for (const name of ["raw", "one"]) await space.removeClaim(name);
    assert.equal(await volumes(), 0);
  });

  await t.test("what our driver can't do is told on the claim, and nothing is left of it", async () => {
    await makeClass(plane, "strange", { driver: driverName, parameters: { color: "blue" } });
    await space.claim("strange", { class: "strange", selectedNode: "n1" });
    await told(/strange ProvisioningFailed: INVALID_ARGUMENT: .*color/);
    await space.claim("shared", { class: "fast", selectedNode: "n1", mode: "ReadWriteMany" });
    await told(/shared ProvisioningFailed: INVALID_ARGUMENT: /);
    await space.claim("huge", { class: "fast", selectedNode: "n1", size: "1Pi" });
    await told(/huge ProvisioningFailed: (OUT_OF_RANGE|RESOURCE_EXHAUSTED): /);
    assert.equal(await volumes(), 0);
    for (const name of ["strange", "shared", "huge"]) await space.removeClaim(name);
  });

  await t.test("a volume in use is not deleted; it is when it is let go", async () => {
    await space.claim("used", { class: "fast", selectedNode: "n1" });
    const { spec } = await space.bound("used");
    const paths = { stagingTargetPath: join(scratch.path, "staging"), targetPath: join(scratch.path, "target") };
    mkdirSync(paths.stagingTargetPath);
    const volumeId = spec.csi?.volumeHandle ?? "";
    const use = {
      volumeId,
      ...paths,
      volumeCapability: { accessType: { case: "mount", value: {} }, accessMode: { mode: 1 } },
    } as const;
    await driver.client.node.nodeStageVolume(use);
    await driver.client.node.nodePublishVolume(use);
    await plane.api.remove("/api/v1/namespaces/mine/persistentvolumeclaims/used");
    await plane.until("it is told", async () => {
      const events = await plane.api.list<{ reason: string }>("/api/v1/namespaces/default/events");
      return events.some(({ reason }) => reason === "VolumeFailedDelete") || undefined;
    });
    assert.equal(await volumes(), 1);
    await driver.client.node.nodeUnpublishVolume({ volumeId, targetPath: paths.targetPath });
    await driver.client.node.nodeUnstageVolume({ volumeId, stagingTargetPath: paths.stagingTargetPath });
    await plane.until("it is deleted", async () => ((await volumes()) === 0 ? true : undefined));
  });

  assert.equal(await helper.stop(), 0);
});
