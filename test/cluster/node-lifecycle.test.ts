/** A node that is gone for ever, and one that came back under another name with its disks. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { makeClass, makeSpace, type Volume } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { makeNode } from "../support/cluster/objects.ts";
import { holdfast, startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { run } from "../support/run.ts";
import { scratchFor } from "../support/scratch.ts";

const driverName = "local.csi.holdfast";
const volumesPath = "/api/v1/persistentvolumes";
const finalizer = "external-provisioner.volume.kubernetes.io/finalizer";

test("nodes that are gone or renamed", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const [plane, driver] = await Promise.all([
    startControlPlane(scratch),
    startDriver(scratch, { pools: [`p=image:${disk.path}`], nodeId: "old" }),
  ]);
  const admin = (...args: string[]) => run("env", [`KUBECONFIG=${plane.admin}`, holdfast, "node", ...args]);
  await makeClass(plane, "fast", { driver: driverName });
  const space = await makeSpace(plane, "nodes");

  const topology = (node: string) => [{ key: `${driverName}/node`, operator: "In", values: [node] }];
  /** A claim that is bound to a volume of the driver, as a provisioner leaves it. */
  const bind = async (claim: string, node: string, handle: string) => {
    const { metadata } = await space.claim(claim, { class: "fast" });
    const name = `pvc-${metadata.uid}`;
    await plane.api.create(volumesPath, {
      metadata: { name, finalizers: [finalizer], annotations: { "pv.kubernetes.io/provisioned-by": driverName } },
      spec: {
        capacity: { storage: "64Mi" },
        accessModes: ["ReadWriteOnce"],
        storageClassName: "fast",
        persistentVolumeReclaimPolicy: "Delete",
        claimRef: {
          kind: "PersistentVolumeClaim",
          apiVersion: "v1",
          namespace: "nodes",
          name: claim,
          uid: metadata.uid,
        },
        csi: { driver: driverName, volumeHandle: handle },
        nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: topology(node) }] } },
      },
    });
    await space.bound(claim);
    return name;
  };
  const notReady = (node: string) =>
    plane.api.merge(`/api/v1/nodes/${node}/status`, { status: { conditions: [{ type: "Ready", status: "Unknown" }] } });

  await t.test("a renamed node gets its volumes back, for the same claims", async () => {
    await makeNode(plane, "old");
    const made = await driver.client.controller.createVolume({
      name: "kept",
      capacityRange: { requiredBytes: 64n << 20n },
      volumeCapabilities: [{ accessMode: { mode: 1 }, accessType: { case: "mount", value: { fsType: "ext4" } } }],
    });
    const handle = made.volume?.volumeId ?? "";
    const name = await bind("kept", "old", handle);
    const before = await plane.api.get<Volume>(`${volumesPath}/${name}`);
    await assert.rejects(admin("adopt", "new", "--from", "old", "--yes"), /node old is Ready/);
    await notReady("old");
    await assert.rejects(admin("adopt", "new", "--from", "old"), /--yes: nobody can be asked here/);

    await driver.stop();
    await assert.rejects(
      startDriver(scratch, { pools: [`p=image:${disk.path}`], nodeId: "new" }).then((other) =>
        other.client.controller.getCapacity({}),
      ),
    );
    assert.match(await admin("adopt", "new", "--pool", disk.path), /is served by old, new/);
    const save = join(scratch.path, "save");
    const said = await admin("adopt", "new", "--from", "old", "--save", save, "--yes");
    assert.match(said, new RegExp(`PersistentVolume ${name} is on new now`));

    const volume = await space.bound("kept");
    assert.equal(volume.metadata.name, name);
    assert.notEqual(volume.metadata.uid, before.metadata.uid);
    assert.deepEqual(volume.metadata.finalizers?.includes(finalizer), true);
    assert.match(JSON.stringify(volume.spec.nodeAffinity), /"new"/);
    const { persistentVolumeReclaimPolicy, csi } = volume.spec as Volume["spec"] & {
      persistentVolumeReclaimPolicy: string;
    };
    assert.deepEqual([persistentVolumeReclaimPolicy, csi?.volumeHandle], ["Delete", handle]);
    const again = await startDriver(scratch, { pools: [`p=image:${disk.path}`], nodeId: "new" });
    const found = await again.client.controller.controllerGetVolume({ volumeId: handle });
    assert.equal(found.volume?.volumeId, handle);
  });

  await t.test("what was cut short between the two is finished by a repeat", async () => {
    await makeNode(plane, "cut");
    await notReady("cut");
    const name = await bind("cut", "cut", "handle-of-cut");
    const save = join(scratch.path, "save-cut");
    // As a kill right after the removal leaves it: the file is there, the volume is not.
    const volume = await plane.api.get<Volume & { spec: object }>(`${volumesPath}/${name}`);
    const { moved } = await import("../../src/kubernetes/nodes/adopt.ts");
    await run("mkdir", [save]);
    await run("sh", [
      "-c",
      'printf %s "$1" >"$2"',
      "sh",
      JSON.stringify(moved(volume as never, driverName, "new")),
      join(save, `${name}.json`),
    ]);
    await plane.api.remove(`${volumesPath}/${name}`);
    await plane.api.merge(`${volumesPath}/${name}`, { metadata: { finalizers: null } });
    await plane.until("the claim has lost its volume", async () =>
      (await space.getClaim("cut")).status.phase === "Lost" ? true : undefined,
    );
    await admin("adopt", "new", "--from", "cut", "--save", save, "--yes");
    const back = await space.bound("cut");
    assert.match(JSON.stringify(back.spec.nodeAffinity), /"new"/);
  });

  await t.test("a node that is gone is forgotten, but not while it is Ready", async () => {
    await makeNode(plane, "gone");
    const name = await bind("lost", "gone", "handle-of-gone");
    const other = await bind("other", "new", "handle-of-new");
    await assert.rejects(admin("forget", "gone", "--yes"), /node gone is Ready/);
    await notReady("gone");
    assert.match(await admin("forget", "gone", "--dry-run"), new RegExp(`PersistentVolume +${name} +nodes/lost`));
    assert.ok(await plane.api.find(`${volumesPath}/${name}`));
    const said = await admin("forget", "gone", "--yes");
    assert.match(said, /1 claims are left without a volume/);
    assert.equal(await plane.api.find(`${volumesPath}/${name}`), undefined);
    assert.ok(await plane.api.find(`${volumesPath}/${other}`));
    assert.match(await admin("forget", "gone", "--yes"), /nothing in the cluster is on this node's disks/);
  });

  await t.test("with --claims the claims go too", async () => {
    await makeNode(plane, "gone2");
    await notReady("gone2");
    await bind("lost2", "gone2", "handle-of-gone2");
    await admin("forget", "gone2", "--claims", "--yes");
    assert.equal(await plane.api.find("/api/v1/namespaces/nodes/persistentvolumeclaims/lost2"), undefined);
  });
});
