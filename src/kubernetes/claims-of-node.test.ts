import assert from "node:assert/strict";
import { test } from "node:test";
import { openClient } from "./api/client.ts";
import { silent, startTestApi, until } from "./api/test-server.ts";
import { watchClaimsOfNode } from "./claims-of-node.ts";
import { openInformers } from "./helper.ts";
import { watchVolumes } from "./watched.ts";

const driver = {
  name: "d.example",
  version: "1",
  plugin: new Set<string>(),
  controller: new Set<string>(),
  groupController: new Set<string>(),
  node: new Set<string>(),
  nodeInfo: { nodeId: "n1", maxVolumes: 0, topology: { "d.example/node": "n1" } },
};
const asks = { "volume.kubernetes.io/storage-provisioner": driver.name };
const selects = (node: string) => ({ ...asks, "volume.kubernetes.io/selected-node": node });
const claimPath = (name: string) => `/api/v1/namespaces/a/persistentvolumeclaims/${name}`;
const volumeOn = (node: string, claim: string) => ({
  spec: {
    csi: { driver: driver.name, volumeHandle: claim },
    claimRef: { namespace: "a", name: claim },
    nodeAffinity: {
      required: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: "d.example/node", operator: "In", values: [node] }] }],
      },
    },
  },
});

test("a node keeps the claims that select it, ask for content, or have their volume here, and no others", async (t) => {
  await using api = await startTestApi();
  const stop = new AbortController();
  const client = openClient(api.cluster, "test");
  t.after(() => {
    stop.abort();
    client.close();
  });
  const informers = openInformers(client, silent, stop.signal);
  const context = { informers, driver, node: "n1", api: client, signal: stop.signal };
  const clone = { dataSource: { kind: "PersistentVolumeClaim", name: "x" } };
  api.put(claimPath("mine"), { metadata: { annotations: selects("n1") }, spec: {} });
  api.put(claimPath("theirs"), { metadata: { annotations: selects("n2") }, spec: {} });
  api.put(claimPath("foreign"), { metadata: {}, spec: { volumeName: "elsewhere" } });
  api.put(claimPath("clone"), { metadata: { annotations: selects("n2") }, spec: clone });
  // Bound to a volume of this node, which was selected for none: a restore, an adopted or a pre-provisioned volume.
  api.put(claimPath("late"), { metadata: { annotations: selects("n2") }, spec: { volumeName: "v-late" } });
  const volumes = watchVolumes(context);
  const claims = watchClaimsOfNode(context);
  await Promise.all([claims.synced, volumes.synced]);
  const names = () =>
    [...claims.all()].map(({ metadata }) => metadata?.name ?? "").toSorted((a, b) => a.localeCompare(b));
  assert.deepEqual(names(), ["clone", "mine"]);

  assert.equal(await claims.seek("a/late"), undefined);
  api.put("/api/v1/persistentvolumes/v-late", volumeOn("n1", "late"));
  api.put("/api/v1/persistentvolumes/v-theirs", volumeOn("n2", "theirs"));
  await until(() => volumes.get("v-late") !== undefined && volumes.get("v-theirs") !== undefined, "the volumes");
  assert.equal((await claims.seek("a/late"))?.spec?.volumeName, "v-late");
  assert.equal(await claims.seek("a/theirs"), undefined);
  assert.deepEqual(names(), ["clone", "late", "mine"]);

  // Taken by another node: it goes; what happens to what is kept is still told.
  api.put(claimPath("clone"), { metadata: { annotations: selects("n2") }, spec: { ...clone, volumeName: "y" } });
  api.put(claimPath("late"), {
    metadata: { annotations: { ...selects("n2"), more: "1" } },
    spec: { volumeName: "v-late" },
  });
  await until(() => claims.get("late", "a")?.metadata?.annotations?.["more"] === "1", "the change");
  assert.deepEqual(names(), ["late", "mine"]);
});
