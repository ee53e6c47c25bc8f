import assert from "node:assert/strict";
import { test } from "node:test";
import type { VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { followed } from "./status.ts";

const content = (status?: VolumeSnapshotContent["status"]): VolumeSnapshotContent => ({
  metadata: { name: "c" },
  spec: {
    driver: "d",
    deletionPolicy: "Delete",
    source: { volumeHandle: "v" },
    volumeSnapshotRef: { name: "s", namespace: "n", uid: "u" },
  },
  ...(status && { status }),
});
const error = { message: "no room", time: "2026-01-01T00:00:00Z" };

test("a new snapshot is bound and not ready", () => {
  assert.deepEqual(followed(undefined, content()), { boundVolumeSnapshotContentName: "c", readyToUse: false });
});

test("what the content says is taken over, sizes as quantities and times in seconds", () => {
  const status = {
    snapshotHandle: "h",
    readyToUse: true,
    restoreSize: 3 << 29,
    creationTime: 1_700_000_000_999_000_000,
  };
  assert.deepEqual(followed({ boundVolumeSnapshotContentName: "c", readyToUse: false, error }, content(status)), {
    creationTime: "2023-11-14T22:13:20Z",
    readyToUse: true,
    restoreSize: "1536Mi",
    error: null,
  });
});

test("what is known already is not written again", () => {
  const status = { readyToUse: true, restoreSize: 1 << 30, creationTime: 1_700_000_000_000_000_000 };
  const known = { boundVolumeSnapshotContentName: "c", ...followed(undefined, content(status)) };
  assert.equal(followed(known, content(status)), undefined);
  assert.equal(followed({ ...known, error: undefined } as typeof known, content(status)), undefined);
});

test("an error comes, changes and goes with the content's", () => {
  const bound = { boundVolumeSnapshotContentName: "c", readyToUse: false };
  assert.deepEqual(followed(bound, content({ readyToUse: false, error })), { error });
  assert.equal(
    followed({ ...bound, error: { ...error, time: "later" } }, content({ readyToUse: false, error })),
    undefined,
  );
  assert.deepEqual(followed({ ...bound, error }, content({ readyToUse: false })), { error: null });
});

test("the first cut's time and size stay", () => {
  const known = {
    boundVolumeSnapshotContentName: "c",
    readyToUse: true,
    restoreSize: "1Gi",
    creationTime: "2023-01-01T00:00:00Z",
  };
  assert.equal(followed(known, content({ readyToUse: true, restoreSize: 5, creationTime: 1 })), undefined);
});
