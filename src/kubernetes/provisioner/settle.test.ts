import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "./settle.ts";
import { claimPath, plan, testProvisioner, volumeOn, volumePath } from "./test-provisioner.ts";

const notOurs = () => false;

test("the claim is gone: what was made is found by the same call, and deleted", async () => {
  await using it = await testProvisioner();
  await it.provisioner.intents.begin(plan);
  assert.equal(await settle(it.provisioner, plan, notOurs), "done");
  assert.deepEqual(it.calls, ["CreateVolume pvc-u", "DeleteVolume made"]);
  assert.deepEqual(it.provisioner.intents.all(), []);
});

test("another claim of the same name is not the one that it was for", async () => {
  await using it = await testProvisioner();
  it.api.put(claimPath, { spec: { volumeName: "pvc-u" } });
  await settle(it.provisioner, plan, notOurs);
  assert.deepEqual(it.calls, ["CreateVolume pvc-u", "DeleteVolume made"]);
});

test("the object is there and is of this node: nothing is asked, nothing deleted", async () => {
  await using it = await testProvisioner();
  await it.provisioner.intents.begin(plan);
  it.api.put(volumePath, volumeOn("n1", "made"));
  assert.equal(await settle(it.provisioner, plan, notOurs), "done");
  assert.deepEqual(it.calls, []);
  assert.deepEqual(it.provisioner.intents.all(), []);
});

test("the object is another node's volume: ours is deleted, and only ours", async () => {
  await using it = await testProvisioner();
  it.api.put(volumePath, volumeOn("n2", "theirs"));
  await settle(it.provisioner, plan, notOurs);
  assert.deepEqual(it.calls, ["CreateVolume pvc-u", "DeleteVolume made"]);
});

test("the object names our volume after all, though it came only while the driver was asked: it is kept", async () => {
  await using it = await testProvisioner();
  it.meanwhile = () => it.api.put(volumePath, volumeOn("n1", "made"));
  assert.equal(await settle(it.provisioner, plan, notOurs), "done");
  assert.deepEqual(it.calls, ["CreateVolume pvc-u"]);
});

test("the claim is bound to an object that is not there: nothing is deleted, and it is said", async () => {
  await using it = await testProvisioner();
  await it.provisioner.intents.begin(plan);
  it.api.objects.set(claimPath, {
    metadata: { name: "c", namespace: "ns", uid: "u", resourceVersion: "1" },
    ...{ spec: { volumeName: "pvc-u" } },
  });
  await assert.rejects(settle(it.provisioner, plan, notOurs), /restored from a backup\? Nothing is deleted/);
  assert.deepEqual(it.calls, []);
  assert.equal(it.provisioner.intents.all().length, 1);
});

test("the claim is ours again: it is served, not settled", async () => {
  await using it = await testProvisioner();
  await it.provisioner.intents.begin(plan);
  it.api.objects.set(claimPath, { metadata: { name: "c", namespace: "ns", uid: "u", resourceVersion: "1" } });
  assert.equal(await settle(it.provisioner, plan, () => true), "ours");
  assert.deepEqual(it.calls, []);
  assert.equal(it.provisioner.intents.all().length, 1);
});

for (const code of ["UNAVAILABLE", "ABORTED", "DEADLINE_EXCEEDED", "CANCELLED"]) {
  test(`${code} says nothing: it is asked again later`, async () => {
    await using it = await testProvisioner();
    await it.provisioner.intents.begin(plan);
    it.answer = code;
    await assert.rejects(settle(it.provisioner, plan, notOurs));
    assert.equal(it.provisioner.intents.all().length, 1);
  });
}

for (const code of ["RESOURCE_EXHAUSTED", "NOT_FOUND", "ALREADY_EXISTS"]) {
  test(`${code}: there is none of ours, so none is deleted`, async () => {
    await using it = await testProvisioner();
    await it.provisioner.intents.begin(plan);
    it.answer = code;
    assert.equal(await settle(it.provisioner, plan, notOurs), "done");
    assert.deepEqual(it.calls, ["CreateVolume pvc-u"]);
    assert.deepEqual(it.provisioner.intents.all(), []);
  });
}

test("what was made can't be deleted yet: it stays known", async () => {
  for (const bytes of [undefined, 1n]) {
    await using it = await testProvisioner();
    await it.provisioner.intents.begin(plan);
    it.bytes = bytes;
    it.refusal = "FAILED_PRECONDITION";
    await assert.rejects(settle(it.provisioner, plan, notOurs));
    assert.equal(it.provisioner.intents.all().length, 1);
  }
});
