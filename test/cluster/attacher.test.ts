/** Our attacher on a real API server, with our driver's shared pool, and with drivers that answer as the test says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeAttachment } from "../support/cluster/attachments.ts";
import { makeClass, makeDriverObject, makeSpace } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { registerNode } from "../support/cluster/objects.ts";
import { staticVolume } from "../support/cluster/static-volume.ts";
import { startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const driverName = "shared.csi.holdfast";
const finalizer = "external-attacher/shared-csi-holdfast";

test("volumes of a shared pool are attached and detached", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const pools = [`p=image:${disk.path},shared=true`];
  const [plane, driver] = await Promise.all([
    startControlPlane(scratch),
    startDriver(scratch, { pools, nodeId: "n1" }),
  ]);
  const second = await startDriver(scratch, { pools, nodeId: "n2" });
  await makeDriverObject(plane, driverName, { attach: true });
  await registerNode(plane, "n1", driver.client);
  await registerNode(plane, "n2", second.client);
  const helper = startHelper(plane, "attacher", { socket: driver.socket, options: { compareMs: 1000 } });
  await makeClass(plane, "c", { driver: driverName });
  const space = await makeSpace(plane, "att");
  const volumeOf = async (name: string) => {
    const { volume } = await driver.client.controller.createVolume({
      name,
      capacityRange: { requiredBytes: 64n << 20n },
      volumeCapabilities: [{ accessType: { case: "mount", value: {} }, accessMode: { mode: 1 } }],
    });
    const handle = volume?.volumeId ?? "";
    const source = { volumeAttributes: { ...volume?.volumeContext } };
    const [, made] = await staticVolume(space, name, { driver: driverName, class: "c", handle, source });
    return { handle, name: made.metadata.name };
  };
  const publishedOn = async (handle: string) => {
    const { entries } = await driver.client.controller.listVolumes({});
    return entries.find(({ volume }) => volume?.volumeId === handle)?.status?.publishedNodeIds;
  };

  await t.test("attached to one node, refused to another, detached, attached there", async () => {
    const volume = await volumeOf("a");
    const first = await makeAttachment(plane, "a-n1", { attacher: driverName, volume: volume.name, node: "n1" });
    const attached = await first.attached();
    assert.deepEqual(attached.metadata.finalizers, [finalizer]);
    assert.equal(attached.metadata.annotations?.["csi.alpha.kubernetes.io/node-id"], "n1");
    assert.deepEqual(await publishedOn(volume.handle), ["n1"]);
    const other = await makeAttachment(plane, "a-n2", { attacher: driverName, volume: volume.name, node: "n2" });
    assert.match((await other.failed("attachError")).message, /^FAILED_PRECONDITION: .*n1/);
    await first.remove();
    assert.equal((await other.attached()).status.attachError, undefined);
    assert.deepEqual(await publishedOn(volume.handle), ["n2"]);
    // A volume that is being deleted waits for its attachment.
    await plane.api.remove(`/api/v1/namespaces/att/persistentvolumeclaims/a`);
    await plane.api.remove(`/api/v1/persistentvolumes/${volume.name}`);
    const path = `/api/v1/persistentvolumes/${volume.name}`;
    assert.ok(
      (await space.api.get<{ metadata: { finalizers: string[] } }>(path)).metadata.finalizers.includes(finalizer),
    );
    await other.remove();
    await plane.until("the volume is gone", async () =>
      (await plane.api.find(path)) === undefined ? true : undefined,
    );
  });

  await t.test("what comes undone behind its back is done again", async () => {
    const volume = await volumeOf("b");
    const attachment = await makeAttachment(plane, "b-n1", { attacher: driverName, volume: volume.name, node: "n1" });
    await attachment.attached();
    await driver.client.controller.controllerUnpublishVolume({ volumeId: volume.handle, nodeId: "n1" });
    await plane.until("it is attached again", async () =>
      (await publishedOn(volume.handle))?.includes("n1") ? true : undefined,
    );
    await attachment.remove();
    assert.deepEqual(await publishedOn(volume.handle), []);
  });

  await t.test("a node that is gone is known by what was noted", async () => {
    const volume = await volumeOf("c");
    const attachment = await makeAttachment(plane, "c-n2", { attacher: driverName, volume: volume.name, node: "n2" });
    await attachment.attached();
    await plane.api.remove("/apis/storage.k8s.io/v1/csinodes/n2");
    await plane.api.remove("/api/v1/nodes/n2");
    await attachment.remove();
    assert.deepEqual(await publishedOn(volume.handle), []);
  });

  assert.equal(await helper.stop(), 0);
});
