import assert from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolume } from "kubernetes-types/core/v1.js";
import type { VolumeAttachment } from "kubernetes-types/storage/v1.js";
import type { Informer } from "../api/informer.ts";
import { Later } from "../api/queue.ts";
import { serveVolume } from "./remove.ts";
import { testProvisioner, volumeOn, volumePath } from "./test-provisioner.ts";

const released: PersistentVolume = {
  metadata: {
    name: "pvc-u",
    finalizers: ["external-provisioner.volume.kubernetes.io/finalizer"],
    annotations: { "pv.kubernetes.io/provisioned-by": "d" },
  },
  spec: { ...volumeOn("n1", "made").spec, persistentVolumeReclaimPolicy: "Delete" },
  status: { phase: "Released" },
};

function attachments(follows: boolean): Informer<VolumeAttachment> {
  return {
    synced: Promise.resolve(),
    hasSynced: () => true,
    isFollowing: () => follows,
    get: () => undefined,
    all: () => [][Symbol.iterator](),
    by: () => [],
    on: () => () => undefined,
    put: () => undefined,
  };
}

test("nothing is deleted while it can't be seen whether it is attached", async () => {
  await using it = await testProvisioner();
  it.api.put(volumePath, { ...released });
  it.provisioner.volumes.put(it.api.objects.get(volumePath) as PersistentVolume);
  await assert.rejects(serveVolume(it.provisioner, attachments(false), "pvc-u"), Later);
  assert.deepEqual(it.calls, []);
  await serveVolume(it.provisioner, attachments(true), "pvc-u");
  assert.deepEqual(it.calls, ["DeleteVolume made"]);
});
