/** Local pools on two nodes: who serves a claim, whose volume wins, and that nothing is left behind or deleted that is needed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeClass, makeDriverObject, makeSnapshotClass, makeSpace, type Volume } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { registerNode } from "../support/cluster/objects.ts";
import { startUpstream } from "../support/cluster/upstream.ts";
import { startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const driverName = "local.csi.holdfast";
const gib = 1024 ** 3;
const names = ["n1", "n2"] as const;
const mount = { accessType: { case: "mount", value: {} }, accessMode: { mode: 1 } } as const;

test("who acts", async (t) => {
  const scratch = scratchFor(t);
  const disks = [await makePoolDisk(scratch, "xfs"), await makePoolDisk(scratch, "xfs", { bytes: 16 * gib })];
  const [plane, n1, n2] = await Promise.all([
    startControlPlane(scratch),
    startDriver(scratch, { pools: [`p=image:${disks[0]?.path}`], nodeId: "n1" }),
    startDriver(scratch, { pools: [`p=image:${disks[1]?.path}`], nodeId: "n2" }),
  ]);
  const drivers = { n1, n2 };
  await makeDriverObject(plane, driverName, { storageCapacity: true });
  for (const node of names) await registerNode(plane, node, drivers[node].client);
  await plane.apply({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRole",
    metadata: { name: "no-volumes" },
    rules: [
      { apiGroups: ["*"], resources: ["*"], verbs: ["get", "list", "watch", "patch"] },
      { apiGroups: [""], resources: ["events"], verbs: ["create"] },
    ],
  });
  await plane.kubectl("create", "clusterrolebinding", "no-volumes", "--clusterrole=no-volumes", "--user=weak");
  const weak = await plane.kubeconfigOf("weak");

  await startUpstream(plane, {
    socket: n1.socket,
    sidecars: { snapshotController: ["--enable-distributed-snapshotting"] },
  });
  for (const node of names) {
    const env = { NODE_NAME: node };
    await startUpstream(plane, {
      socket: drivers[node].socket,
      env,
      prefix: node,
      sidecars: { snapshotter: ["--node-deployment"] },
    });
  }
  const start = (node: "n1" | "n2", kubeconfig?: string) =>
    startHelper(plane, "provisioner", {
      socket: drivers[node].socket,
      node,
      name: `provisioner-${node}`,
      options: { intentsFolder: `${scratch.path}/intents-${node}`, firstWaitMs: 200, longestWaitMs: 2000 },
      ...(kubeconfig !== undefined && { kubeconfig }),
    });
  const provisioners = { n1: start("n1"), n2: start("n2") };
  const startCapacity = (node: "n1" | "n2") =>
    startHelper(plane, "capacity", {
      socket: drivers[node].socket,
      node,
      name: `capacity-${node}`,
      options: { settleMs: 100 },
    });
  const capacities = { n1: startCapacity("n1"), n2: startCapacity("n2") };
  startHelper(plane, "roles", {
    socket: n1.socket,
    options: { goneForMs: 300, notReadyForMs: 500, refusedForMs: 60_000 },
  });

  await makeClass(plane, "waits", { driver: driverName });
  await makeClass(plane, "now", { driver: driverName, binding: "Immediate" });
  await makeSnapshotClass(plane, "snap", driverName);
  const space = await makeSpace(plane, "acts");
  const volumes = async (node: "n1" | "n2") => {
    const { entries } = await drivers[node].client.controller.listVolumes({});
    return entries.map(({ volume }) => volume?.volumeId ?? "");
  };
  const nodeOf = ({ spec }: Volume) => /"values":\["(n\d)"\]/.exec(JSON.stringify(spec.nodeAffinity))?.[1];
  const claimPath = (name: string) => `/api/v1/namespaces/acts/persistentvolumeclaims/${name}`;
  const selectedNode = async (name: string) =>
    (await space.getClaim(name)).metadata.annotations?.["volume.kubernetes.io/selected-node"];
  const told = (pattern: RegExp) =>
    plane.until(`an event like ${pattern}`, async () => (await space.events()).find((line) => pattern.test(line)));

  await t.test("each node serves what selected it", async () => {
    await space.claim("on-n1", { class: "waits", selectedNode: "n1" });
    await space.claim("on-n2", { class: "waits", selectedNode: "n2" });
    assert.equal(nodeOf(await space.bound("on-n1")), "n1");
    assert.equal(nodeOf(await space.bound("on-n2")), "n2");
    assert.deepEqual([(await volumes("n1")).length, (await volumes("n2")).length], [1, 1]);
  });

  await t.test("a restore and a clone are made by the node that holds the source, whatever was selected", async () => {
    await space.snapshot("cut", "on-n1", "snap");
    await space.snapshotReady("cut");
    await space.claim("restored", { class: "waits", selectedNode: "n2", fromSnapshot: "cut" });
    await space.claim("cloned", { class: "waits", selectedNode: "n2", fromClaim: "on-n1" });
    await space.claim("restored-now", { class: "now", fromSnapshot: "cut" });
    await space.claim("cloned-now", { class: "now", fromClaim: "on-n1" });
    for (const name of ["restored", "cloned", "restored-now", "cloned-now"]) {
      assert.equal(nodeOf(await space.bound(name)), "n1", name);
    }
    assert.equal((await volumes("n2")).length, 1);
    await told(/restored Provisioning: the node n1 makes the volume, for it holds the snapshot/);
    for (const name of ["restored", "cloned", "restored-now", "cloned-now"]) await space.removeClaim(name);
    await space.removeSnapshot("cut");
    assert.deepEqual([(await volumes("n1")).length, (await volumes("n2")).length], [1, 1]);
  });

  await t.test("each node tells what it has left, in objects that are found again and go with the Node", async () => {
    type Capacity = {
      metadata: { name: string; ownerReferences: { kind: string; name: string; uid: string }[] };
      storageClassName: string;
      nodeTopology: object;
      capacity: string;
    };
    const path = "/apis/storage.k8s.io/v1/namespaces/default/csistoragecapacities";
    const listed = async () =>
      (await plane.api.list<Capacity>(path)).sort((a, b) => a.metadata.name.localeCompare(b.metadata.name));
    const first = await plane.until("two for each class", async () => {
      const found = await listed();
      return found.length === 4 ? found : undefined;
    });
    const n1Node = await plane.api.get<{ metadata: { uid: string } }>("/api/v1/nodes/n1");
    for (const { metadata, nodeTopology, capacity } of first.filter((each) =>
      JSON.stringify(each.nodeTopology).includes("n1"),
    )) {
      assert.deepEqual(nodeTopology, { matchLabels: { [`${driverName}/node`]: "n1" } });
      assert.deepEqual(metadata.ownerReferences, [
        { apiVersion: "v1", kind: "Node", name: "n1", uid: n1Node.metadata.uid },
      ]);
      assert.match(capacity, /^[1-9]/);
    }
    await capacities.n1.stop();
    await plane.api.remove(`${path}/${first[0]?.metadata.name}`);
    capacities.n1 = startCapacity("n1");
    await capacities.n2.stop();
    capacities.n2 = startCapacity("n2");
    await plane.until("the same names again", async () => {
      const names = (await listed()).map(({ metadata }) => metadata.name);
      return JSON.stringify(names) === JSON.stringify(first.map(({ metadata }) => metadata.name)) || undefined;
    });
    await plane.api.remove("/apis/storage.k8s.io/v1/storageclasses/extra");
    await makeClass(plane, "extra", { driver: driverName });
    await plane.until("two more", async () => (await listed()).length === 6 || undefined);
    await plane.api.remove("/apis/storage.k8s.io/v1/storageclasses/extra");
    await plane.until("they went with their class", async () => (await listed()).length === 4 || undefined);
  });

  await t.test("a claim that waits for no pod goes where there is room, or hears that there is none", async () => {
    await space.claim("wide", { class: "now", size: "10Gi" });
    assert.equal(nodeOf(await space.bound("wide")), "n2");
    await space.claim("too-wide", { class: "now", size: "1Ti" });
    await told(/too-wide ProvisioningFailed: none of 2 nodes has room for 1Ti: the most is /);
    assert.equal(await selectedNode("too-wide"), undefined);
    await space.removeClaim("too-wide");
    await space.removeClaim("wide");
  });

  await t.test("a selection of a node without room, and of one that is gone, is taken back", async () => {
    await space.claim("no-room", { class: "waits", size: "12Gi", selectedNode: "n1" });
    await told(/no-room ProvisioningFailed: .*another node than n1 is asked for/);
    await plane.until("the selection is gone", async () => ((await selectedNode("no-room")) ? undefined : true));
    await space.claim("nowhere", { class: "waits", selectedNode: "n9" });
    await told(/nowhere ProvisioningFailed: the selected node n9 is gone/);
    assert.equal(await selectedNode("nowhere"), undefined);
    for (const name of ["no-room", "nowhere"]) await space.removeClaim(name);
    assert.deepEqual([(await volumes("n1")).length, (await volumes("n2")).length], [1, 1]);
  });

  await t.test("a node that was too late deletes its own volume; the one that the claim got stays", async () => {
    await provisioners.n1.stop();
    const late = start("n1", weak);
    await space.claim("moved", { class: "waits", selectedNode: "n1" });
    await plane.until("n1 has a volume", async () => ((await volumes("n1")).length === 2 ? true : undefined));
    await plane.api.merge(claimPath("moved"), {
      metadata: { annotations: { "volume.kubernetes.io/selected-node": "n2" } },
    });
    assert.equal(nodeOf(await space.bound("moved")), "n2");
    await plane.until("n1 has deleted its own", async () => ((await volumes("n1")).length === 1 ? true : undefined));
    assert.equal((await volumes("n2")).length, 2);
    await space.removeClaim("moved");
    await late.stop();
  });

  await t.test("killed after the RPC and before the object: the claim gets the same volume", async () => {
    const killed = start("n1", weak);
    await space.claim("kept", { class: "waits", selectedNode: "n1" });
    await plane.until("n1 has a volume", async () => ((await volumes("n1")).length === 2 ? true : undefined));
    await killed.kill();
    const before = await volumes("n1");
    provisioners.n1 = start("n1");
    const volume = await space.bound("kept");
    assert.ok(before.includes(volume.spec.csi?.volumeHandle ?? ""));
    assert.deepEqual((await volumes("n1")).sort(), [...before].sort());
    await space.removeClaim("kept");
    await provisioners.n1.stop();
  });

  await t.test("killed then, and the claim deleted: the volume is collected, and no other", async () => {
    const other = await n1.client.controller.createVolume({
      name: "made-by-hand",
      capacityRange: { requiredBytes: 64n << 20n },
      volumeCapabilities: [mount],
    });
    const killed = start("n1", weak);
    await space.claim("gone", { class: "waits", selectedNode: "n1" });
    await plane.until("n1 has a volume", async () => ((await volumes("n1")).length === 3 ? true : undefined));
    await killed.kill();
    await space.removeClaim("gone");
    provisioners.n1 = start("n1");
    await plane.until("it is collected", async () => ((await volumes("n1")).length === 2 ? true : undefined));
    assert.ok((await volumes("n1")).includes(other.volume?.volumeId ?? ""));
  });

  await t.test("a volume is deleted by its node only", async () => {
    await space.claim("last", { class: "waits", selectedNode: "n1" });
    const { metadata } = await space.bound("last");
    await provisioners.n1.stop();
    await plane.api.remove(claimPath("last"));
    await plane.until("it is released", async () => {
      const { status } = await plane.api.get<Volume>(`/api/v1/persistentvolumes/${metadata.name}`);
      return status.phase === "Released" || undefined;
    });
    assert.equal((await volumes("n1")).length, 3);
    provisioners.n1 = start("n1");
    await plane.until("it is gone", async () => ((await volumes("n1")).length === 2 ? true : undefined));
    await space.removeClaim("on-n1");
    assert.equal((await volumes("n1")).length, 1);
    await space.removeClaim("on-n2");
    assert.equal((await volumes("n2")).length, 0);
  });

  await t.test(
    "the node that was selected does not work: a claim that need not wait goes elsewhere, another is told",
    async () => {
      const ready = (status: string) =>
        plane.api.merge("/api/v1/nodes/n2/status", {
          status: {
            conditions: [{ type: "Ready", status, reason: "Test", lastTransitionTime: new Date().toISOString() }],
          },
        });
      await provisioners.n2.stop();
      await ready("False");
      await space.claim("stuck", { class: "waits", selectedNode: "n2" });
      await space.claim("stuck-now", { class: "now", selectedNode: "n2" });
      await told(/stuck ProvisioningFailed: the selected node n2 is not ready, and the volume can be made only there/);
      assert.equal(nodeOf(await space.bound("stuck-now")), "n1");
      assert.equal(await selectedNode("stuck"), "n2");
      await ready("True");
      provisioners.n2 = start("n2");
      assert.equal(nodeOf(await space.bound("stuck")), "n2");
      for (const name of ["stuck", "stuck-now"]) await space.removeClaim(name);
    },
  );

  await t.test("the node that holds a source is gone: it is told, by whoever was selected or by nobody", async () => {
    await space.claim("source", { class: "waits", selectedNode: "n1" });
    await space.bound("source");
    await space.snapshot("kept", "source", "snap");
    await space.snapshotReady("kept");
    await provisioners.n1.stop();
    await plane.api.remove("/api/v1/nodes/n1");
    await space.claim("orphan", { class: "waits", selectedNode: "n2", fromSnapshot: "kept" });
    await space.claim("orphan-now", { class: "now", fromClaim: "source" });
    await told(/orphan ProvisioningFailed: the node n1, which holds the snapshot kept, is gone/);
    await told(/orphan-now ProvisioningFailed: the node n1, which holds the volume source, is gone/);
    assert.equal((await volumes("n2")).length, 0);
  });

  for (const node of names) assert.equal(await provisioners[node].stop(), 0);
});
