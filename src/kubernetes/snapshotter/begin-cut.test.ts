import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError } from "../api/api-error.ts";
import { volumeSnapshotContents } from "../api/resources.ts";
import type { VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { beingCreated, beingDeleted } from "../snapshots/names.ts";
import { beginCut } from "./begin-cut.ts";
import type { Snapshotter } from "./context.ts";
import { nextStep } from "./next-step.ts";

type Marks = Readonly<Record<string, string>>;

const content = (
  annotations: Marks,
  more: Partial<VolumeSnapshotContent> = {},
  deleting = false,
): VolumeSnapshotContent => ({
  metadata: { name: "c", uid: "1", annotations, ...(deleting && { deletionTimestamp: "2026-01-01T00:00:00Z" }) },
  spec: {
    driver: "d",
    deletionPolicy: "Delete",
    source: { volumeHandle: "v" },
    volumeSnapshotRef: { name: "s", namespace: "n", uid: "u" },
  },
  ...more,
});

/** What the API server has; what the cache says is `seen`. */
async function begin(there: VolumeSnapshotContent | undefined, seen: VolumeSnapshotContent) {
  let now = there;
  const api = {
    get: () => {
      if (now === undefined) throw new ApiError(404, "NotFound", "gone");
      return Promise.resolve(now);
    },
    patch: (_kind: unknown, _ref: unknown, patch: { metadata: { annotations: Record<string, string | null> } }) => {
      if (now === undefined) throw new ApiError(404, "NotFound", "gone");
      const annotations = { ...now.metadata?.annotations };
      for (const [key, value] of Object.entries(patch.metadata.annotations)) {
        if (value === null) delete annotations[key];
        else annotations[key] = value;
      }
      now = { ...now, metadata: { ...now.metadata, annotations } };
      return Promise.resolve(now);
    },
  };
  const kind = { resource: volumeSnapshotContents, informer: { put: () => undefined } as never };
  const begun = await beginCut(
    { api } as unknown as Snapshotter,
    kind,
    seen,
    beingCreated,
    (each) => nextStep(each) === "cut",
  );
  return { begun, left: now?.metadata?.annotations };
}

test("a new content is marked and cut", async () => {
  const { begun, left } = await begin(content({}), content({}));
  assert.equal(begun?.metadata?.annotations?.[beingCreated], "yes");
  assert.deepEqual(left, { [beingCreated]: "yes" });
});

test("one that another instance has cut meanwhile is left, and not marked", async () => {
  const status = { readyToUse: true, snapshotHandle: "h" };
  const { begun, left } = await begin(content({ other: "x" }, { status }), content({}));
  assert.equal(begun, undefined);
  assert.deepEqual(left, { other: "x" });
});

test("one that is on its way out is not cut, and not held by the mark", async () => {
  const { begun, left } = await begin(content({ [beingDeleted]: "yes" }, { status: {} }, true), content({}));
  assert.equal(begun, undefined);
  assert.deepEqual(left, { [beingDeleted]: "yes" });
});

test("one with the mark is read again: it may be cut, or gone, or another of the same name", async () => {
  const marked = content({ [beingCreated]: "yes" });
  assert.ok((await begin(marked, marked)).begun);
  await assert.rejects(begin(undefined, marked), /gone/);
  const successor = { ...marked, metadata: { ...marked.metadata, uid: "2" } };
  assert.equal((await begin(successor, marked)).begun, undefined);
  const status = { readyToUse: true, snapshotHandle: "h" };
  assert.equal((await begin(content({}, { status }), marked)).begun, undefined);
});
