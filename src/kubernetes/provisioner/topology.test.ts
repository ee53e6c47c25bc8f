import assert from "node:assert/strict";
import { test } from "node:test";
import { affinityOf, isAllowed, requirementOf, segmentOf } from "./topology.ts";

const zone = (...values: string[]) => ({ matchLabelExpressions: [{ key: "zone", values }] });
const all = [{ zone: "c" }, { zone: "a" }, { zone: "b" }, { zone: "a" }];
const place = { all, strict: false, immediate: true, claimName: "x" };
const zones = (segments: readonly Readonly<Record<string, string>>[] | undefined) =>
  segments?.map((each) => each["zone"]);

test("a selected node comes first, then the others in their order", () => {
  const asked = requirementOf({ ...place, selected: { zone: "b" } });
  assert.deepEqual(zones(asked?.requisite), ["a", "b", "c"]);
  assert.deepEqual(zones(asked?.preferred), ["b", "c", "a"]);
});

test("strict: the selected node and nothing else, if the class allows it", () => {
  const asked = requirementOf({ ...place, strict: true, selected: { zone: "b" }, allowed: [zone("a", "b")] });
  assert.deepEqual(asked, { requisite: [{ zone: "b" }], preferred: [{ zone: "b" }] });
  assert.throws(
    () => requirementOf({ ...place, strict: true, selected: { zone: "b" }, allowed: [zone("a")] }),
    /zone=b is not among the class's allowed topologies/,
  );
});

test("no node: all places, begun where the claim's name says, so that a StatefulSet spreads", () => {
  const first = (claimName: string) => zones(requirementOf({ ...place, claimName })?.preferred)?.[0] ?? "";
  const spread = [0, 1, 2].map((index) => first(`data-web-${index}`));
  assert.equal(new Set(spread).size, 3);
  // Two claims of one pod come to the same place.
  assert.equal(first("logs-web-1"), first("data-web-1"));
  assert.equal(requirementOf({ ...place, immediate: false }), undefined);
});

test("every combination that a class allows", () => {
  const two = {
    matchLabelExpressions: [
      { key: "zone", values: ["a", "b"] },
      { key: "rack", values: ["1", "2"] },
    ],
  };
  const asked = requirementOf({ ...place, allowed: [two, zone("c")] });
  assert.equal(asked?.requisite.length, 5);
  assert.deepEqual(asked?.requisite[0], { zone: "c" });
  assert.ok(isAllowed([two], { zone: "b", rack: "1", other: "x" }));
  assert.ok(!isAllowed([two], { zone: "b", rack: "3" }));
  assert.ok(isAllowed(undefined, {}));
});

test("no place is left", () => {
  assert.throws(() => requirementOf({ ...place, all: [] }), /no node has registered a topology/);
  assert.throws(() => requirementOf({ ...place, selected: { zone: "z" } }), /zone=z is not among those/);
});

test("a node's segment has all keys or there is none", () => {
  assert.deepEqual(segmentOf({ zone: "a", x: "y" }, ["zone"]), { zone: "a" });
  assert.equal(segmentOf({ zone: "a" }, ["zone", "rack"]), undefined);
  assert.equal(segmentOf(undefined, ["zone"]), undefined);
});

test("a volume's affinity: one of its places, or none where the driver told none", () => {
  assert.equal(affinityOf([]), undefined);
  assert.equal(affinityOf([{ segments: {} }]), undefined);
  assert.deepEqual(affinityOf([{ segments: { b: "2", a: "1" } }]), {
    required: {
      nodeSelectorTerms: [
        {
          matchExpressions: [
            { key: "a", operator: "In", values: ["1"] },
            { key: "b", operator: "In", values: ["2"] },
          ],
        },
      ],
    },
  });
});
