import assert from "node:assert/strict";
import { test } from "node:test";
import { formatId } from "../../pools/ids.ts";
import { openClient } from "../api/client.ts";
import { silent, startTestApi, until } from "../api/test-server.ts";
import { openInformers } from "../helper.ts";
import { runContentLabeller } from "./label-contents.ts";

const driver = "local.csi.holdfast";
const pool = "a0".repeat(16);
const handleOf = (key: string, node: string, uuid = pool) =>
  formatId({ pool: uuid, key: key.repeat(16), nonce: "00".repeat(8), node });
const contents = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents";
const groupContents = "/apis/groupsnapshot.storage.k8s.io/v1/volumegroupsnapshotcontents";

const volume = (handle: string, node: string) => ({
  spec: {
    csi: { driver, volumeHandle: handle },
    nodeAffinity: {
      required: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: `${driver}/node`, operator: "In", values: [node] }] }],
      },
    },
  },
});
const content = (source: object, more: object = {}) => ({
  spec: { driver, source, deletionPolicy: "Delete", volumeSnapshotRef: { name: "s", namespace: "n" }, ...more },
});

test("contents are given to the node that has their snapshot", async (t) => {
  await using server = await startTestApi();
  const kinds = (...names: string[]) => ({ status: 200, body: { resources: names.map((name) => ({ name })) } });
  server.answer = (_method, path) => {
    if (path === "/apis/snapshot.storage.k8s.io/v1")
      return kinds("volumesnapshots", "volumesnapshotcontents", "volumesnapshotclasses");
    if (path === "/apis/groupsnapshot.storage.k8s.io/v1")
      return kinds("volumegroupsnapshots", "volumegroupsnapshotcontents", "volumegroupsnapshotclasses");
    return undefined;
  };
  server.put("/api/v1/persistentvolumes/pv", volume(handleOf("b1", "old"), "new"));
  server.put(`${contents}/dynamic`, content({ volumeHandle: handleOf("b1", "old") }));
  server.put(`${contents}/existing`, content({ snapshotHandle: handleOf("c2", "n3", "ff".repeat(16)) }));
  server.put(`${contents}/adopted`, content({ snapshotHandle: handleOf("c3", "old") }));
  server.put(`${contents}/foreign`, content({ volumeHandle: handleOf("b1", "old") }, { driver: "other.example.org" }));
  server.put(`${contents}/unknown`, content({ snapshotHandle: "vol-1" }));
  server.put(`${contents}/labelled`, {
    metadata: { labels: { "snapshot.storage.kubernetes.io/managed-by": "n9" } },
    ...content({ volumeHandle: handleOf("b1", "old") }),
  });
  server.put(`${groupContents}/group`, content({ volumeHandles: [handleOf("b1", "old"), handleOf("b2", "old")] }));
  server.put(
    `${groupContents}/torn`,
    content({ volumeHandles: [handleOf("b1", "old"), handleOf("b2", "n3", "ee".repeat(16))] }),
  );

  const end = new AbortController();
  const api = openClient(server.cluster, "test");
  t.after(() => api.close());
  const informers = openInformers(api, silent, end.signal);
  const running = runContentLabeller({ api, informers, log: silent, signal: end.signal, driverName: driver });
  const nodeOf = (path: string) => {
    const labels = (server.objects.get(path)?.metadata as { labels?: Record<string, string> } | undefined)?.labels;
    return labels?.["snapshot.storage.kubernetes.io/managed-by"];
  };
  await until(
    () => nodeOf(`${groupContents}/group`) !== undefined && nodeOf(`${contents}/adopted`) !== undefined,
    "labels",
  );
  assert.equal(nodeOf(`${contents}/dynamic`), "new", "the volume's affinity, not the handle");
  assert.equal(nodeOf(`${contents}/existing`), "n3", "the handle, where no volume tells more");
  assert.equal(nodeOf(`${contents}/adopted`), "new", "another volume of the same pool");
  assert.equal(nodeOf(`${contents}/foreign`), undefined);
  assert.equal(nodeOf(`${contents}/unknown`), undefined);
  assert.equal(nodeOf(`${contents}/labelled`), "n9");
  assert.equal(nodeOf(`${groupContents}/group`), "new");
  assert.equal(nodeOf(`${groupContents}/torn`), undefined, "no one node has both");

  server.put(`${contents}/later`, content({ volumeHandle: handleOf("b1", "old") }));
  await until(() => nodeOf(`${contents}/later`) === "new", "the label of one that came later");
  end.abort();
  await running;
});
