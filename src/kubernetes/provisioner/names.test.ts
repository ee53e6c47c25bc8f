import assert from "node:assert/strict";
import { test } from "node:test";
import type { DriverFacts } from "../driver-facts.ts";
import { volumeNameOf } from "./names.ts";

test("a volume is named after its claim's UID, and a node's own also after the driver", () => {
  const driver = { name: "local.csi.holdfast" } as DriverFacts;
  const claim = { metadata: { uid: "1f0c" } };
  assert.equal(volumeNameOf({ driver }, claim), "pvc-1f0c");
  assert.equal(volumeNameOf({ driver, node: "n1" }, claim), "local.csi.holdfast-1f0c");
});
