import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Node } from "kubernetes-types/core/v1.js";
import { openClient } from "./client.ts";
import { type InformerOptions, startInformer } from "./informer.ts";
import { nodes } from "./resources.ts";
import { silent, startTestApi, until } from "./test-server.ts";

async function following(options: InformerOptions<Node> = {}) {
  const api = await startTestApi();
  const stop = new AbortController();
  const client = openClient(api.cluster, "test");
  api.put("/api/v1/nodes/a", { metadata: { labels: { zone: "1" } } });
  const informer = startInformer(client, nodes, options, silent, stop.signal);
  const seen: string[] = [];
  informer.on(({ kind, object }) => seen.push(`${kind} ${object.metadata?.name}`));
  await informer.synced;
  return {
    api,
    client,
    informer,
    seen,
    async [Symbol.asyncDispose]() {
      stop.abort();
      client.close();
      await api[Symbol.asyncDispose]();
    },
  };
}

test("what is there and what changes is seen, in order", async () => {
  await using it = await following();
  it.api.put("/api/v1/nodes/b", {});
  it.api.put("/api/v1/nodes/a", { metadata: { labels: { zone: "2" } } });
  it.api.remove("/api/v1/nodes/b");
  await until(() => it.seen.length === 4, "four changes");
  assert.deepEqual(it.seen, ["added a", "added b", "changed a", "removed b"]);
  assert.equal(it.informer.get("a")?.metadata?.labels?.["zone"], "2");
});

test("a watch that is cut goes on where it was, and nothing is told twice", async () => {
  await using it = await following();
  await until(() => it.api.requests.length === 2, "the watch");
  it.api.cut();
  it.api.put("/api/v1/nodes/b", {});
  await until(() => it.seen.length === 2, "the change made meanwhile");
  assert.deepEqual(it.seen, ["added a", "added b"]);
});

test("it says when it can't follow", async () => {
  await using it = await following();
  await until(() => it.api.requests.length === 2, "the watch");
  assert.equal(it.informer.isFollowing(), true);
  it.api.answer = () => ({ status: 503 });
  it.api.cut();
  await until(() => !it.informer.isFollowing(), "it knows");
  it.api.answer = undefined;
  await until(() => it.informer.isFollowing(), "it follows again");
});

test("a server that has forgotten is listed again: what vanished meanwhile is told as removed", async () => {
  await using it = await following();
  await until(() => it.api.requests.length === 2, "the watch");
  it.api.answer = () => ({ status: 503 });
  it.api.cut();
  it.api.objects.delete("/api/v1/nodes/a");
  it.api.objects.set("/api/v1/nodes/c", { metadata: { name: "c", uid: "c", resourceVersion: "9" } });
  it.api.forget();
  it.api.answer = undefined;
  await until(() => it.seen.length === 3, "the difference");
  assert.deepEqual(it.seen.toSorted(), ["added a", "added c", "removed a"]);
});

test("an index finds by value, and follows changes", async () => {
  await using it = await following({ indexes: { zone: (node) => [node.metadata?.labels?.["zone"] ?? ""] } });
  assert.equal(it.informer.by("zone", "1").length, 1);
  it.api.put("/api/v1/nodes/a", { metadata: { labels: { zone: "2" } } });
  await until(() => it.seen.length === 2, "the change");
  assert.equal(it.informer.by("zone", "1").length, 0);
  assert.equal(it.informer.by("zone", "2").length, 1);
});

test("what is not kept does not exist, and what stops being kept is removed", async () => {
  await using it = await following({ keep: (node) => (node.metadata?.labels?.["zone"] === "1" ? node : undefined) });
  it.api.put("/api/v1/nodes/b", { metadata: { labels: { zone: "9" } } });
  it.api.put("/api/v1/nodes/a", { metadata: { labels: { zone: "9" } } });
  await until(() => it.seen.length === 2, "the removal");
  assert.deepEqual(it.seen, ["added a", "removed a"]);
});

test("an answer to a write of ours is there at once, and an older event does not take it back", async () => {
  await using it = await following();
  const old = structuredClone(it.informer.get("a") ?? {}) as Node;
  it.informer.put({ ...old, metadata: { ...old.metadata, resourceVersion: "99", labels: { zone: "new" } } });
  it.informer.put(old);
  assert.equal(it.informer.get("a")?.metadata?.labels?.["zone"], "new");
});

test("a kind that the cluster does not know is empty, until it does", async () => {
  const api = await startTestApi();
  api.put("/api/v1/nodes/a", {});
  api.answer = (_method, path) => (path === "/api/v1/nodes" ? { status: 404 } : undefined);
  const stop = new AbortController();
  const client = openClient(api.cluster, "test");
  const informer = startInformer(client, nodes, { absentMs: 10 }, silent, stop.signal);
  await informer.synced;
  assert.equal(informer.get("a"), undefined);
  api.answer = undefined;
  await until(() => informer.get("a") !== undefined, "the node");
  stop.abort();
  client.close();
  await api[Symbol.asyncDispose]();
});

test("a server that forgets faster than it can be followed is not asked without a pause", async () => {
  const api = await startTestApi();
  api.expireWatches = true;
  const stop = new AbortController();
  const client = openClient(api.cluster, "test");
  const informer = startInformer(client, nodes, {}, silent, stop.signal);
  await informer.synced;
  await sleep(1000);
  assert.ok(api.requests.length < 12, `${api.requests.length} requests in a second`);
  api.expireWatches = false;
  api.put("/api/v1/nodes/b", {});
  await until(() => informer.get("b") !== undefined, "the change");
  stop.abort();
  client.close();
  await api[Symbol.asyncDispose]();
});

test("a late answer to a write does not bring back what was removed", async () => {
  await using it = await following();
  await until(() => it.api.requests.length === 2, "the watch");
  const late = structuredClone(it.informer.get("a") ?? {}) as Node;
  it.api.remove("/api/v1/nodes/a");
  await until(() => it.seen.length === 2, "the removal");
  it.informer.put(late);
  assert.equal(it.informer.get("a"), undefined);
  // Its successor has another UID.
  it.api.put("/api/v1/nodes/a", {});
  await until(() => it.seen.length === 3, "the successor");
  it.informer.put(late);
  assert.notEqual(it.informer.get("a")?.metadata?.uid, late.metadata?.uid);
});

test("what left the selection may come back", async () => {
  await using it = await following({ keep: (node) => (node.metadata?.labels?.["zone"] === "1" ? node : undefined) });
  it.api.put("/api/v1/nodes/a", { metadata: { labels: { zone: "9" } } });
  it.api.put("/api/v1/nodes/a", { metadata: { labels: { zone: "1" } } });
  await until(() => it.seen.length === 3, "its return");
  assert.deepEqual(it.seen, ["added a", "removed a", "added a"]);
});

test("what was not to be kept may be put in when it is, in the same version", async () => {
  let zone = "1";
  await using it = await following({ keep: (node) => (node.metadata?.labels?.["zone"] === zone ? node : undefined) });
  it.api.put("/api/v1/nodes/a", { metadata: { labels: { zone: "2" } } });
  await until(() => it.seen.length === 2, "its end");
  zone = "2";
  it.informer.put(await it.client.get(nodes, { name: "a" }));
  assert.equal(it.informer.get("a")?.metadata?.labels?.["zone"], "2");
});
