import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError, isAlreadyExists, isConflict } from "./api-error.ts";
import { openClient } from "./client.ts";
import { claims, nodes } from "./resources.ts";
import { startTestApi } from "./test-server.ts";

test("an object is made, read, replaced and deleted, and each refusal has its kind", async () => {
  await using api = await startTestApi();
  const client = openClient(api.cluster, "test");
  const made = await client.create(nodes, { metadata: { name: "a" } });
  assert.equal((api.objects.get("/api/v1/nodes/a") as { kind?: string }).kind, "Node");
  await assert.rejects(client.create(nodes, { metadata: { name: "a" } }), isAlreadyExists);
  const labelled = await client.replace(nodes, { ...made, metadata: { ...made.metadata, labels: { x: "y" } } });
  assert.deepEqual(labelled.metadata?.labels, { x: "y" });
  await assert.rejects(client.replace(nodes, made), isConflict);
  await client.delete(nodes, { name: "a" });
  await client.delete(nodes, { name: "a" });
  assert.equal(await client.find(nodes, { name: "a" }), undefined);
  await assert.rejects(client.get(nodes, { name: "a" }), /NotFound .*GET \/api\/v1\/nodes\/a: 404/);
  client.close();
});

test("a namespaced object without its namespace is a mistake of ours, not a request", async () => {
  await using api = await startTestApi();
  const client = openClient(api.cluster, "test");
  await assert.rejects(client.get(claims, { name: "a" }), /PersistentVolumeClaim a without its namespace/);
  assert.deepEqual(api.requests, []);
  client.close();
});

test("a long list is read page by page", async () => {
  await using api = await startTestApi();
  for (let i = 0; i < 1201; i++) api.put(`/api/v1/nodes/n${i}`, {});
  const client = openClient(api.cluster, "test");
  assert.equal((await client.list(nodes)).length, 1201);
  assert.equal(api.requests.length, 3);
  client.close();
});

test("an answer that asks for patience is waited for, and one that does not is an error at once", async () => {
  await using api = await startTestApi();
  const client = openClient(api.cluster, "test");
  api.put("/api/v1/nodes/a", {});
  let left = 2;
  api.answer = () => (left-- > 0 ? { status: 429, headers: { "retry-after": "0" } } : undefined);
  assert.equal((await client.get(nodes, { name: "a" })).metadata?.name, "a");
  assert.equal(api.requests.length, 3);
  api.answer = () => ({ status: 500, body: { message: "broken" } });
  await assert.rejects(client.get(nodes, { name: "a" }), /broken/);
  assert.equal(api.requests.length, 4);
  client.close();
});

test("a server that is not there, or does not answer in time, is an ApiError without a status", async () => {
  const client = openClient({ server: new URL("http://127.0.0.1:1") }, "test");
  await assert.rejects(
    client.get(nodes, { name: "a" }),
    (error) => error instanceof ApiError && error.status === 0 && /no answer from the API server/.test(error.message),
  );
  client.close();
});
