import assert from "node:assert/strict";
import { test } from "node:test";
import { CsiError } from "../../csi/client.ts";
import { ApiError } from "../api/api-error.ts";
import { Later } from "../api/queue.ts";
import { volumeSnapshotContents } from "../api/resources.ts";
import type { VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { silent } from "../api/test-server.ts";
import { attempt } from "./attempt.ts";
import type { Snapshotter } from "./context.ts";

const content = (status?: VolumeSnapshotContent["status"]): VolumeSnapshotContent => ({
  metadata: { name: "c", uid: "1", creationTimestamp: new Date(Date.now() - 40_000).toISOString() },
  spec: {
    driver: "d",
    deletionPolicy: "Delete",
    source: { volumeHandle: "v" },
    volumeSnapshotRef: { name: "s", namespace: "n", uid: "u" },
  },
  ...(status && { status }),
});

async function outcome(work: () => Promise<VolumeSnapshotContent>, known = content()) {
  const patches: { status?: { error?: { message: string }; readyToUse?: boolean } }[] = [];
  const said: string[] = [];
  const snapshotter = {
    api: {
      patch: (_kind: unknown, _ref: unknown, patch: (typeof patches)[number]) => {
        patches.push(patch);
        return Promise.resolve(known);
      },
    },
    events: {
      warning: (_kind: unknown, _object: unknown, reason: string, message: string) => said.push(`${reason} ${message}`),
    },
    log: silent,
    signal: new AbortController().signal,
  } as unknown as Snapshotter;
  const informer = { get: () => known, put: () => undefined } as never;
  const failure = { reason: "Failed", what: "Failed to cut" };
  const kind = { resource: volumeSnapshotContents, informer };
  const result = await attempt(snapshotter, kind, known, work, failure).catch((error: unknown) => error);
  return { result, patches, said };
}

const fails = (error: Error) => () => Promise.reject(error);

test("ready: nothing more; not ready: a quarter of the time it has waited", async () => {
  assert.equal((await outcome(() => Promise.resolve(content({ readyToUse: true })))).result, undefined);
  const { result } = await outcome(() => Promise.resolve(content({ readyToUse: false })));
  assert.ok(typeof result === "number" && result >= 10_000 && result < 11_000, String(result));
});

test("a failure is in the status and said once, and waits the usual time", async () => {
  const error = new CsiError("INTERNAL", "broken", "CreateSnapshot");
  const { result, patches, said } = await outcome(fails(error));
  assert.ok(result instanceof Later && result.ms === undefined);
  assert.equal(patches[0]?.status?.error?.message, "Failed to cut: INTERNAL: broken");
  assert.equal(patches[0]?.status?.readyToUse, false);
  assert.deepEqual(said, ["Failed Failed to cut: INTERNAL: broken"]);
  const known = content({ error: { message: "Failed to cut: INTERNAL: broken" }, readyToUse: false });
  const repeated = await outcome(fails(error), known);
  assert.deepEqual([repeated.patches, repeated.said], [[], []]);
});

test("a driver that is away is asked again soon, however long it was away", async () => {
  const { result } = await outcome(fails(new CsiError("UNAVAILABLE", "no driver answers", "CreateSnapshot")));
  assert.ok(result instanceof Later && result.ms === 5_000);
});

test("what the API server does not take is not told as the snapshot's failure; a content that is gone is fine", async () => {
  const conflict = new ApiError(409, "Conflict", "changed");
  const { result, patches, said } = await outcome(fails(conflict));
  assert.equal(result, conflict);
  assert.deepEqual([patches, said], [[], []]);
  assert.equal((await outcome(fails(new ApiError(404, "NotFound", "gone")))).result, undefined);
});
