import assert from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { Later } from "../api/queue.ts";
import { serveClaim } from "./provision.ts";
import { claimPath, type TestProvisioner, testProvisioner } from "./test-provisioner.ts";

const selected = { "volume.kubernetes.io/selected-node": "n1" };
const asking = { ...selected, "volume.kubernetes.io/storage-provisioner": "d" };
const claim = (annotations: Record<string, string>, spec: PersistentVolumeClaim["spec"] = {}) => ({
  metadata: { name: "c", namespace: "ns", uid: "u", resourceVersion: "1", annotations },
  spec: {
    storageClassName: "class",
    accessModes: ["ReadWriteOnce"],
    resources: { requests: { storage: "1Ki" } },
    ...spec,
  },
});
const object = "/api/v1/persistentvolumes/d-u";
/** In the cluster and in the cache. */
const put = (it: TestProvisioner, now: ReturnType<typeof claim>) => {
  it.api.objects.set(claimPath, now);
  it.provisioner.claims.put(now);
};

test("the volume is made before it is asked for, its object is written after, and it is made once", async () => {
  await using it = await testProvisioner([claim(selected)]);
  assert.equal(await serveClaim(it.provisioner, "u"), 10_000);
  assert.deepEqual(it.calls, ["CreateVolume d-u"]);
  assert.ok(!it.api.objects.has(object));
  assert.equal(it.provisioner.intents.all().length, 1);
  put(it, claim(asking));
  await serveClaim(it.provisioner, "u");
  assert.deepEqual(it.calls, ["CreateVolume d-u"]);
  assert.ok(it.api.objects.has(object));
  assert.deepEqual(it.provisioner.intents.all(), []);
  assert.equal(it.provisioner.ahead.size, 0);
});

test("asked for while it is made: one run does it all", async () => {
  await using it = await testProvisioner([claim(selected)]);
  it.meanwhile = () => put(it, claim(asking));
  await serveClaim(it.provisioner, "u");
  assert.deepEqual(it.calls, ["CreateVolume d-u"]);
  assert.ok(it.api.objects.has(object));
});

test("not asked for: it is said once and kept, for it may be older than it seems, until the claim is gone", async () => {
  await using it = await testProvisioner([claim(selected)]);
  put(it, claim(selected));
  const said: string[] = [];
  const log = { ...it.provisioner.log, warn: (_: object, text: string) => void said.push(text) };
  const gone = { ...it.provisioner.claims, by: () => [] };
  for (let look = 0; look < 2; look++) await serveClaim({ ...it.provisioner, log }, "u");
  assert.equal(said.length, 0);
  const begun = it.provisioner.ahead.get("u");
  assert.ok(begun?.outcome);
  it.provisioner.ahead.set("u", { ...begun, at: begun.at - 10_000 });
  for (let look = 0; look < 2; look++) await serveClaim({ ...it.provisioner, log }, "u");
  assert.equal(said.length, 1);
  assert.deepEqual(it.calls, ["CreateVolume d-u"]);
  assert.equal(it.provisioner.intents.all().length, 1);
  it.api.objects.delete(claimPath);
  await serveClaim({ ...it.provisioner, claims: gone }, "u");
  assert.deepEqual(it.calls.slice(1), ["CreateVolume d-u", "DeleteVolume made"]);
  assert.deepEqual(it.provisioner.intents.all(), []);
});

for (const [what, then] of [
  ["got another volume", claim(selected, { volumeName: "theirs" })],
  ["selected another node", claim({ ...asking, "volume.kubernetes.io/selected-node": "n2" })],
] as const) {
  test(`the claim ${what} meanwhile: what was made ahead is deleted`, async () => {
    await using it = await testProvisioner([claim(selected)]);
    await serveClaim(it.provisioner, "u");
    put(it, then);
    await serveClaim(it.provisioner, "u");
    assert.equal(it.calls.at(-1), "DeleteVolume made");
    assert.ok(!it.api.objects.has(object));
    assert.equal(it.provisioner.ahead.size, 0);
    assert.deepEqual(it.provisioner.intents.all(), []);
  });
}

test("what fails ahead is not said on the claim until it is asked for; then the answer counts", async () => {
  await using it = await testProvisioner([claim(selected)]);
  it.answer = "INVALID_ARGUMENT";
  await serveClaim(it.provisioner, "u");
  await serveClaim(it.provisioner, "u");
  assert.deepEqual(it.events, []);
  put(it, claim(asking));
  await assert.rejects(serveClaim(it.provisioner, "u"), Later);
  assert.deepEqual(it.calls, ["CreateVolume d-u"]);
  assert.match(it.events.join(), /ProvisioningFailed: INVALID_ARGUMENT/);
  assert.deepEqual(it.provisioner.intents.all(), []);
});

test("no room ahead: when the claim is asked for, the selection is given back", async () => {
  await using it = await testProvisioner([claim(selected)]);
  it.answer = "RESOURCE_EXHAUSTED";
  await serveClaim(it.provisioner, "u");
  put(it, claim(asking));
  await serveClaim(it.provisioner, "u");
  assert.match(it.events.join(), /another node than n1 is asked for/);
  assert.deepEqual(it.provisioner.intents.all(), []);
});

test("an answer that is not fresh any more: the driver is asked again", async () => {
  await using it = await testProvisioner([claim(selected)]);
  it.answer = "RESOURCE_EXHAUSTED";
  await serveClaim(it.provisioner, "u");
  const begun = it.provisioner.ahead.get("u");
  assert.ok(begun);
  it.provisioner.ahead.set("u", { ...begun, at: begun.at - 20_000 });
  it.answer = undefined;
  put(it, claim(asking));
  await serveClaim(it.provisioner, "u");
  assert.ok(it.api.objects.has(object));
  assert.deepEqual(it.events, ["ProvisioningSucceeded: the volume d-u was made"]);
});

test("an unclear failure ahead: what may be there stays known until it is clear", async () => {
  await using it = await testProvisioner([claim(selected)]);
  it.answer = "DEADLINE_EXCEEDED";
  await serveClaim(it.provisioner, "u");
  put(it, claim(asking));
  await assert.rejects(serveClaim(it.provisioner, "u"), Later);
  assert.equal(it.provisioner.intents.all().length, 1);
  it.answer = undefined;
  await serveClaim(it.provisioner, "u");
  assert.ok(it.api.objects.has(object));
  assert.deepEqual(it.provisioner.intents.all(), []);
});

test("killed between: the next process takes up what was begun ahead", async () => {
  await using it = await testProvisioner([claim(selected)]);
  await serveClaim(it.provisioner, "u");
  it.provisioner.ahead.clear();
  await serveClaim(it.provisioner, "u");
  put(it, claim(asking));
  await serveClaim(it.provisioner, "u");
  assert.deepEqual(it.calls, ["CreateVolume d-u", "CreateVolume d-u"]);
  assert.ok(it.api.objects.has(object));
});

test("nothing is made ahead for another node, another driver's class, a copy, or by one who acts for the whole cluster", async () => {
  const source = { kind: "PersistentVolumeClaim", name: "other" };
  for (const other of [
    claim({ "volume.kubernetes.io/selected-node": "n2" }),
    claim({}),
    claim(selected, { storageClassName: "none" }),
    claim(selected, { dataSource: source }),
    claim(selected, { dataSourceRef: source }),
    claim(selected, { volumeName: "v" }),
    claim({ ...selected, "volume.kubernetes.io/storage-provisioner": "other" }),
  ]) {
    await using it = await testProvisioner([other]);
    assert.equal(await serveClaim(it.provisioner, "u"), undefined);
    assert.deepEqual(it.calls, []);
  }
  await using it = await testProvisioner([claim(selected)]);
  const { node: _, ...everywhere } = it.provisioner;
  await serveClaim(everywhere, "u");
  assert.deepEqual(it.calls, []);
});
