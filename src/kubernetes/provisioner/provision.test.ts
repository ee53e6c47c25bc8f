import assert from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { Later } from "../api/queue.ts";
import { serveClaim } from "./provision.ts";
import { claimPath, plan, testProvisioner } from "./test-provisioner.ts";

const selected = "volume.kubernetes.io/selected-node";
const claim: PersistentVolumeClaim = {
  metadata: {
    name: "c",
    namespace: "ns",
    uid: "u",
    resourceVersion: "1",
    annotations: { "volume.kubernetes.io/storage-provisioner": "d", [selected]: "n1" },
  },
  spec: { storageClassName: "class", accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Ki" } } },
};
const objectOf = (api: { objects: Map<string, unknown> }, path: string) =>
  api.objects.get(path) as { metadata: { annotations?: Record<string, unknown> } } | undefined;
const stored = { ...claim, metadata: { ...claim.metadata, name: "c", uid: "u", resourceVersion: "1" } };

test("a claim gets its volume, and nothing is left to be settled", async () => {
  await using it = await testProvisioner([claim]);
  await serveClaim(it.provisioner, "u");
  assert.deepEqual(it.calls, ["CreateVolume d-u"]);
  assert.ok(it.api.objects.has("/api/v1/persistentvolumes/d-u"));
  assert.deepEqual(it.provisioner.intents.all(), []);
  assert.match(it.events.join(), /^ProvisioningSucceeded: /);
  // Looked at again before its claim is bound, it is not made twice.
  await serveClaim(it.provisioner, "u");
  assert.equal(it.calls.length, 1);
});

test("no room: the selection is given back, for the scheduler to select again", async () => {
  await using it = await testProvisioner([claim]);
  it.api.objects.set(claimPath, stored);
  it.answer = "RESOURCE_EXHAUSTED";
  await serveClaim(it.provisioner, "u");
  assert.equal(objectOf(it.api, claimPath)?.metadata.annotations?.[selected], undefined);
  assert.match(it.events.join(), /another node than n1 is asked for/);
  assert.deepEqual(it.provisioner.intents.all(), []);
});

test("no room where the source is held: no other node would do, so the selection stays and the node is named", async () => {
  await using it = await testProvisioner([claim]);
  it.api.objects.set(claimPath, stored);
  it.answer = "RESOURCE_EXHAUSTED";
  await it.provisioner.intents.begin({
    ...plan,
    source: { kind: "snapshot", id: "s" },
    from: { kind: "snapshot", name: "cut" },
  });
  await assert.rejects(serveClaim(it.provisioner, "u"), Later);
  assert.equal(objectOf(it.api, claimPath)?.metadata.annotations?.[selected], "n1");
  assert.match(it.events.join(), /the node n1, which holds the snapshot, has no room/);
});

test("an unclear error: the claim stays in progress, and the very same is asked again", async () => {
  await using it = await testProvisioner([claim]);
  it.answer = "DEADLINE_EXCEEDED";
  await assert.rejects(serveClaim(it.provisioner, "u"), Later);
  const [begun] = it.provisioner.intents.all();
  assert.equal(begun?.name, "d-u");
  it.answer = undefined;
  await serveClaim(it.provisioner, "u");
  assert.deepEqual(it.calls, ["CreateVolume d-u", "CreateVolume d-u"]);
  assert.deepEqual(it.provisioner.intents.all(), []);
});

test("what the driver calls invalid is not asked again for minutes", async () => {
  await using it = await testProvisioner([claim]);
  it.answer = "INVALID_ARGUMENT";
  await assert.rejects(serveClaim(it.provisioner, "u"), (error) => error instanceof Later && error.ms === 300_000);
  assert.deepEqual(it.provisioner.intents.all(), []);
  assert.match(it.events.join(), /ProvisioningFailed: INVALID_ARGUMENT: as the test says/);
});

test("the selection moved on while the volume was made: no object is written, it is settled instead", async () => {
  await using it = await testProvisioner([claim]);
  it.meanwhile = () => {
    const annotations = { ...claim.metadata?.annotations, [selected]: "n2" };
    it.provisioner.claims.put({ ...claim, metadata: { ...claim.metadata, annotations } });
  };
  await assert.rejects(serveClaim(it.provisioner, "u"), Later);
  assert.ok(!it.api.objects.has("/api/v1/persistentvolumes/d-u"));
  it.meanwhile = undefined;
  await serveClaim(it.provisioner, "u");
  assert.deepEqual(it.calls, ["CreateVolume d-u", "CreateVolume d-u", "DeleteVolume made"]);
});

test("another's object was first: it stays, and ours is deleted", async () => {
  await using it = await testProvisioner([claim]);
  it.api.put("/api/v1/persistentvolumes/d-u", { spec: { csi: { driver: "d", volumeHandle: "theirs" } } });
  await assert.rejects(serveClaim(it.provisioner, "u"), Later);
  await serveClaim(it.provisioner, "u");
  assert.deepEqual(it.calls.slice(1), ["CreateVolume d-u", "DeleteVolume made"]);
  assert.ok(it.api.objects.has("/api/v1/persistentvolumes/d-u"));
});

test("a volume that came too small and can't be deleted stays known, until it can", async () => {
  await using it = await testProvisioner([claim]);
  it.bytes = 1n;
  it.refusal = "FAILED_PRECONDITION";
  await assert.rejects(serveClaim(it.provisioner, "u"), Later);
  assert.equal(it.provisioner.intents.all().length, 1);
  it.refusal = undefined;
  await assert.rejects(serveClaim(it.provisioner, "u"), Later);
  it.bytes = undefined;
  await serveClaim(it.provisioner, "u");
  assert.deepEqual(it.provisioner.intents.all(), []);
});
