import assert from "node:assert/strict";
import { test } from "node:test";
import { openClient } from "../api/client.ts";
import { silent, startTestApi } from "../api/test-server.ts";
import { waitForGroupKinds, waitForSnapshotKinds } from "./kinds.ts";

const groups = ["volumegroupsnapshots", "volumegroupsnapshotcontents", "volumegroupsnapshotclasses"];

async function clusterWith(t: { after(end: () => void): void }, served: Readonly<Record<string, readonly string[]>>) {
  const server = await startTestApi();
  server.answer = (_method, path) => {
    const names = served[path];
    return names === undefined
      ? { status: 404, body: { reason: "NotFound" } }
      : { status: 200, body: { resources: names.map((name) => ({ name })) } };
  };
  const api = openClient(server.cluster, "test");
  t.after(() => {
    api.close();
    void server[Symbol.asyncDispose]();
  });
  return api;
}

test("group snapshots are asked for in v1, or in v1beta2 where there is no v1", async (t) => {
  const group = "/apis/groupsnapshot.storage.k8s.io";
  for (const [versions, expected] of [
    [["v1", "v1beta2"], "v1"],
    [["v1beta1", "v1beta2"], "v1beta2"],
  ] as const) {
    const api = await clusterWith(t, Object.fromEntries(versions.map((version) => [`${group}/${version}`, groups])));
    const kinds = await waitForGroupKinds(api, silent, AbortSignal.timeout(5000));
    assert.deepEqual(
      Object.values(kinds).map(({ version }) => version),
      [expected, expected, expected],
    );
  }
});

test("a cluster without all three kinds is waited for, and told once", async (t) => {
  const api = await clusterWith(t, { "/apis/snapshot.storage.k8s.io/v1": ["volumesnapshots"] });
  const told: string[] = [];
  const log = { ...silent, info: (_fields: object, text: string) => void told.push(text) };
  await assert.rejects(waitForSnapshotKinds(api, log, AbortSignal.timeout(200)));
  assert.deepEqual(told, ["the cluster has no VolumeSnapshots: waiting for their definitions"]);
});
