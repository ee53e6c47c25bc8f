import assert from "node:assert/strict";
import { test } from "node:test";
import { openClient } from "./api/client.ts";
import { nodes } from "./api/resources.ts";
import { silent, startTestApi, until } from "./api/test-server.ts";
import { openInformers } from "./helper.ts";

test("two helpers share one watch, and who ended is told nothing more", async () => {
  await using api = await startTestApi();
  const all = new AbortController();
  const one = new AbortController();
  const client = openClient(api.cluster, "test");
  const informers = openInformers(client, silent, all.signal);
  const told = { one: 0, other: 0 };
  const first = informers.until(one.signal).of(nodes);
  const second = informers.until(all.signal).of(nodes);
  first.on(() => told.one++);
  second.on(() => told.other++);
  await Promise.all([first.synced, second.synced]);
  api.put("/api/v1/nodes/a", {});
  await until(() => told.one === 1 && told.other === 1, "both to be told");
  one.abort();
  api.put("/api/v1/nodes/b", {});
  await until(() => told.other === 2, "the other to be told");
  assert.equal(told.one, 1);
  assert.equal(api.requests.filter((request) => request === "GET /api/v1/nodes").length, 2, "a list and a watch");
  all.abort();
  client.close();
});
