import assert from "node:assert/strict";
import { test } from "node:test";
import { capacityObject, isNews, nameOf, selectorOf } from "./object.ts";

const spot = { driver: "d", segment: { "d/node": "n1", "d/zone": "z" }, namespace: "ns", manager: "n1" };

test("the name is the same for the same place and class, in whatever order the keys come", () => {
  const other = { ...spot, segment: { "d/zone": "z", "d/node": "n1" } };
  assert.equal(nameOf(spot, "c"), nameOf(other, "c"));
  assert.notEqual(nameOf(spot, "c"), nameOf(spot, "c2"));
  assert.notEqual(nameOf(spot, "c"), nameOf({ ...spot, segment: { "d/node": "n1" } }, "c"));
});

test("the object is the place's, and found by its labels", () => {
  const owner = { apiVersion: "v1", kind: "Node", name: "n1", uid: "u" };
  const object = capacityObject(spot, { metadata: { name: "c" } }, { bytes: 3n << 30n, largest: 1n << 30n }, owner);
  assert.deepEqual(object, {
    metadata: {
      name: nameOf(spot, "c"),
      namespace: "ns",
      labels: { "csi.storage.k8s.io/drivername": "d", "csi.storage.k8s.io/managed-by": "n1" },
      ownerReferences: [owner],
    },
    storageClassName: "c",
    nodeTopology: { matchLabels: { "d/node": "n1", "d/zone": "z" } },
    capacity: "3Gi",
    maximumVolumeSize: "1Gi",
  });
  assert.equal(selectorOf(spot), "csi.storage.k8s.io/drivername=d,csi.storage.k8s.io/managed-by=n1");
});

test("a fiftieth is news, and the end or the return of room", () => {
  assert.ok(!isNews({ bytes: 1000n }, { bytes: 990n }));
  assert.ok(isNews({ bytes: 1000n }, { bytes: 970n }));
  assert.ok(isNews({ bytes: 1000n }, { bytes: 1030n }));
  assert.ok(isNews({ bytes: 1n }, { bytes: 0n }));
  assert.ok(isNews({ bytes: 0n }, { bytes: 1n }));
  assert.ok(!isNews({ bytes: 0n }, { bytes: 0n }));
  assert.ok(isNews({ bytes: 5n }, { bytes: 5n, largest: 5n }));
});
