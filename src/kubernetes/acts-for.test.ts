import assert from "node:assert/strict";
import { test } from "node:test";
import { actsFor } from "./acts-for.ts";
import type { DriverFacts } from "./driver-facts.ts";

const nothing: ReadonlySet<string> = new Set();
const key = "d.example/node";
const driver: DriverFacts = {
  name: "d.example",
  version: "1",
  plugin: nothing,
  controller: nothing,
  groupController: nothing,
  node: nothing,
  nodeInfo: { nodeId: "n1", maxVolumes: 0, topology: { [key]: "n1" } },
};
const volume = (name: string, ...terms: (readonly string[])[]) => ({
  spec: {
    csi: { driver: name, volumeHandle: "v" },
    ...(terms.length > 0 && {
      nodeAffinity: {
        required: {
          nodeSelectorTerms: terms.map((values) => ({
            matchExpressions: [{ key, operator: "In", values: [...values] }],
          })),
        },
      },
    }),
  },
});

test("for the whole cluster: every volume of the driver, and no other", () => {
  assert.equal(actsFor({ driver }, volume("d.example")), true);
  assert.equal(actsFor({ driver }, volume("d.example", ["n2"])), true);
  assert.equal(actsFor({ driver }, volume("other.example")), false);
  assert.equal(actsFor({ driver }, { spec: {} }), false);
});

test("for a node: only volumes that are pinned to it and to nothing else", () => {
  const here = { driver, node: "n1" };
  assert.equal(actsFor(here, volume("d.example", ["n1"])), true);
  assert.equal(actsFor(here, volume("d.example", ["n1"], ["n1"])), true);
  assert.equal(actsFor(here, volume("other.example", ["n1"])), false);
  assert.equal(actsFor(here, volume("d.example", ["n2"])), false);
  assert.equal(actsFor(here, volume("d.example", ["n1", "n2"])), false);
  assert.equal(actsFor(here, volume("d.example", ["n1"], ["n2"])), false);
  assert.equal(actsFor(here, volume("d.example")), false);
  const { nodeInfo: _, ...nowhere } = driver;
  assert.equal(actsFor({ driver: nowhere, node: "n1" }, volume("d.example", ["n1"])), false);
});
