import assert from "node:assert/strict";
import { test } from "node:test";
import { matches, pickNode, type Wish } from "./pick.ts";

const node = (name: string) => ({ name, labels: { "d/node": name } });
const capacity = (name: string, bytes: string, most?: string) => ({
  storageClassName: "c",
  nodeTopology: { matchLabels: { "d/node": name } },
  capacity: bytes,
  ...(most !== undefined && { maximumVolumeSize: most }),
});
const wish = (bytes: bigint, more: Partial<Wish> = {}): Wish => ({
  bytes,
  refused: new Set(),
  promised: () => 0n,
  ...more,
});
const gib = 1n << 30n;
const nodes = [node("a"), node("b"), node("c")];
const capacities = [capacity("a", "5Gi"), capacity("b", "20Gi"), capacity("c", "10Gi", "1Gi")];

test("the node with the most room gets the claim", () => {
  assert.deepEqual(pickNode(nodes, capacities, wish(2n * gib)), { node: "b" });
});

test("what was promised counts as used, and who refused is not asked again", () => {
  const promised = (name: string) => (name === "b" ? 19n * gib : 0n);
  assert.deepEqual(pickNode(nodes, capacities, wish(2n * gib, { promised })), { node: "a" });
  assert.deepEqual(pickNode(nodes, capacities, wish(2n * gib, { refused: new Set(["b"]) })), { node: "a" });
});

test("a volume larger than a node can make is not asked of it, whatever it has left", () => {
  const refused = new Set(["a", "b"]);
  assert.deepEqual(pickNode(nodes, capacities, wish(gib, { refused })), { node: "c" });
  assert.ok("none" in pickNode(nodes, capacities, wish(gib + 1n, { refused })));
});

test("where none fits it is said how much there is", () => {
  const told = pickNode(nodes, capacities, wish(30n * gib));
  assert.deepEqual(told, { none: "none of 3 nodes has room for 30Gi: the most is 20Gi on b" });
  assert.deepEqual(pickNode([], capacities, wish(1n)), { none: "no node has this driver" });
});

test("a node that publishes nothing is asked last", () => {
  assert.deepEqual(pickNode([...nodes, node("d")], capacities, wish(30n * gib)), { node: "d" });
  assert.deepEqual(pickNode([...nodes, node("d")], capacities, wish(gib)), { node: "b" });
});

test("label selectors", () => {
  assert.ok(matches({}, {}));
  assert.ok(!matches({ matchLabels: { a: "1" } }, { a: "2" }));
  assert.ok(matches({ matchExpressions: [{ key: "a", operator: "In", values: ["1", "2"] }] }, { a: "2" }));
  assert.ok(!matches({ matchExpressions: [{ key: "a", operator: "In", values: ["1"] }] }, {}));
  assert.ok(matches({ matchExpressions: [{ key: "a", operator: "NotIn", values: ["1"] }] }, {}));
  assert.ok(!matches({ matchExpressions: [{ key: "a", operator: "Exists" }] }, {}));
  assert.ok(!matches({ matchExpressions: [{ key: "a", operator: "DoesNotExist" }] }, { a: "1" }));
});
