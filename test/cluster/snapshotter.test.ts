/** Our snapshotter with the upstream snapshot-controller and with ours, on one node with a local pool; neither labels all contents. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { makeClass, makeDriverObject, makeSnapshotClass, makeSpace } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { installDefinitions, registerNode } from "../support/cluster/objects.ts";
import { startUpstream } from "../support/cluster/upstream.ts";
import { startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const driverName = "local.csi.holdfast";
const snapshots = "/apis/snapshot.storage.k8s.io/v1/namespaces/mine/volumesnapshots";
const contents = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents";

interface Content {
  readonly metadata: {
    readonly name: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly finalizers?: string[];
  };
  readonly spec: { readonly source: object };
  readonly status?: {
    readonly snapshotHandle?: string;
    readonly readyToUse?: boolean;
    readonly creationTime?: number;
    readonly restoreSize?: number;
    readonly error?: { readonly message: string };
  };
}

for (const controller of ["upstream", "ours"])
  test(`the snapshotter of a node, and the snapshot-controller: ${controller}`, async (t) => {
    const scratch = scratchFor(t);
    const disk = await makePoolDisk(scratch, "xfs");
    const [plane, driver] = await Promise.all([
      startControlPlane(scratch),
      startDriver(scratch, { pools: [`p=image:${disk.path}`], nodeId: "n1" }),
    ]);
    await installDefinitions(plane, join(import.meta.dirname, "../../deploy/crds"));
    await makeDriverObject(plane, driverName);
    await registerNode(plane, "n1", driver.client);
    await makeClass(plane, "fast", { driver: driverName });
    await makeSnapshotClass(plane, "snap", driverName);
    await makeSnapshotClass(plane, "keep", driverName, "Retain");
    const space = await makeSpace(plane, "mine");
    const cuts = async () => (await driver.client.controller.listSnapshots({})).entries.map(({ snapshot }) => snapshot);
    startHelper(plane, "provisioner", { socket: driver.socket, node: "n1" });
    const snapshotter = startHelper(plane, "snapshotter", { socket: driver.socket, node: "n1" });
    startHelper(plane, "contentLabeller", { socket: driver.socket });
    if (controller === "ours") startHelper(plane, "snapshotController", { socket: driver.socket });
    else {
      await startUpstream(plane, {
        socket: driver.socket,
        // Not told to label contents: the controller pod does it.
        sidecars: { snapshotController: [] },
      });
    }
    await space.claim("data", { class: "fast", selectedNode: "n1" });
    await space.bound("data");

    await t.test("a snapshot is cut and ready, and its content says what the driver said", async () => {
      await space.snapshot("one", "data", "snap");
      const content = await plane.api.get<Content>(`${contents}/${await space.snapshotReady("one")}`);
      const [snapshot, ...more] = await cuts();
      assert.equal(more.length, 0);
      assert.equal(content.status?.snapshotHandle, snapshot?.snapshotId);
      assert.equal(content.status?.restoreSize, 64 * 1024 * 1024);
      assert.equal(content.status?.error, undefined);
      const seconds = Math.floor((content.status?.creationTime ?? 0) / 1e9);
      assert.equal(BigInt(seconds), snapshot?.creationTime?.seconds);
      assert.match(
        snapshotter.log(),
        /"snapshot":"mine\/one".*"rpc":"CreateSnapshot","ms":.*the driver has the snapshot/,
      );
      await plane.until("the mark of the create is gone", async () => {
        const { metadata } = await plane.api.get<Content>(`${contents}/${content.metadata.name}`);
        return Object.keys(metadata.annotations ?? {}).length === 0 || undefined;
      });
    });

    await t.test("it is deleted on the storage with its object", async () => {
      await space.removeSnapshot("one");
      assert.deepEqual(await cuts(), []);
    });

    await t.test("one that is to be retained stays, and can be had again under another name", async () => {
      await space.snapshot("kept", "data", "keep");
      const name = await space.snapshotReady("kept");
      const handle = (await plane.api.get<Content>(`${contents}/${name}`)).status?.snapshotHandle ?? "";
      await plane.api.remove(`${snapshots}/kept`);
      await space.gone("the snapshot", `${snapshots}/kept`);
      await plane.api.remove(`${contents}/${name}`);
      await space.gone("the content", `${contents}/${name}`);
      assert.equal((await cuts()).length, 1);
      await space.existing("again", handle, driverName, { deletionPolicy: "Delete" });
      await space.snapshotReady("again");
      await space.claim("restored", { class: "fast", selectedNode: "n1", fromSnapshot: "again" });
      await space.bound("restored");
      await space.removeSnapshot("again");
      assert.deepEqual(await cuts(), []);
    });

    assert.equal(await snapshotter.stop(), 0);
  });
