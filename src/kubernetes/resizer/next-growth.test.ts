import assert from "node:assert/strict";
import { test } from "node:test";
import type { GrowthStatus } from "./claim-sizes.ts";
import { nextGrowth } from "./next-growth.ts";

interface Case {
  readonly request: string;
  readonly volume: string;
  readonly allocated?: string;
  readonly status?: GrowthStatus;
  readonly pendingOnNode?: boolean;
  readonly failedFinally?: boolean;
  readonly nodeOnly?: boolean;
}

const decide = (one: Case) => {
  const conditions = one.pendingOnNode ? [{ type: "FileSystemResizePending", status: "True" }] : [];
  const claim = {
    spec: { resources: { requests: { storage: one.request } } },
    status: {
      capacity: { storage: "1Gi" },
      conditions,
      ...(one.allocated !== undefined && { allocatedResources: { storage: one.allocated } }),
      ...(one.status !== undefined && { allocatedResourceStatuses: { storage: one.status } }),
    },
  };
  const known = { failedFinally: one.failedFinally ?? false, controllerExpands: !one.nodeOnly };
  const next = nextGrowth(claim, { spec: { capacity: { storage: one.volume } } }, known);
  return next.grow ? `${next.size}${next.begun ? " again" : ""}` : "no";
};

test("the volume is smaller than the wish: what was begun is ended first", () => {
  const small = { request: "3Gi", volume: "1Gi" } as const;
  assert.equal(decide(small), "3Gi");
  assert.equal(decide({ ...small, allocated: "1Gi" }), "3Gi", "an older growth is over");
  assert.equal(decide({ ...small, allocated: "2Gi", status: "ControllerResizeInProgress" }), "2Gi again");
  assert.equal(decide({ ...small, status: "ControllerResizeInProgress" }), "3Gi");
  assert.equal(decide({ ...small, allocated: "3072Mi", status: "ControllerResizeInProgress" }), "3072Mi again");
  assert.equal(decide({ ...small, allocated: "2Gi", status: "NodeResizePending" }), "2Gi again");
  assert.equal(decide({ ...small, volume: "2Gi", allocated: "2Gi", status: "NodeResizePending" }), "no");
  assert.equal(decide({ ...small, volume: "2Gi", allocated: "2Gi", status: "NodeResizeInProgress" }), "no");
  assert.equal(decide({ ...small, volume: "2Gi", allocated: "2Gi", status: "NodeResizeInfeasible" }), "2Gi again");
});

test("a smaller wish takes the place of one that failed for good, never of one that may still run", () => {
  const wish = { request: "2Gi", volume: "1Gi", allocated: "9Gi" } as const;
  assert.equal(decide({ ...wish, status: "ControllerResizeInfeasible" }), "2Gi");
  assert.equal(decide({ ...wish, status: "ControllerResizeInProgress" }), "9Gi again");
  assert.equal(decide({ ...wish, status: "ControllerResizeInProgress", failedFinally: true }), "2Gi");
});

test("the volume has the size already: the claim is brought up to it, or its node is", () => {
  const grown = { request: "2Gi", volume: "2Gi" } as const;
  assert.equal(decide({ ...grown, allocated: "2Gi", status: "NodeResizePending" }), "no");
  assert.equal(decide({ ...grown, allocated: "2Gi", status: "NodeResizeInProgress" }), "no");
  assert.equal(decide({ ...grown, allocated: "2Gi", status: "ControllerResizeInProgress" }), "2Gi again");
  assert.equal(decide({ ...grown, allocated: "2Gi" }), "2Gi again");
  assert.equal(decide(grown), "2Gi");
  assert.equal(decide({ ...grown, pendingOnNode: true }), "no", "marked by a resizer before allocatedResources");
  const more = { request: "2Gi", volume: "3Gi", allocated: "3Gi" } as const;
  assert.equal(
    decide({ ...more, status: "ControllerResizeInProgress" }),
    "3Gi again",
    "grown before it was made smaller",
  );
  assert.equal(decide({ ...more, status: "NodeResizeInfeasible" }), "3Gi again");
  assert.equal(decide({ ...more, status: "NodeResizeInfeasible", nodeOnly: true }), "2Gi");
});
