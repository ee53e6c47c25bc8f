import assert from "node:assert/strict";
import { test } from "node:test";
import { openClient } from "./api/client.ts";
import { silent, startTestApi, until } from "./api/test-server.ts";
import { openInformers } from "./helper.ts";
import { watchVolumes } from "./watched.ts";

const label = "d.example/node";
const path = (name: string) => `/api/v1/persistentvolumes/${name}`;
const volume = (driver: string, node?: string, more: object = {}) => ({
  metadata: { ...(node !== undefined && { labels: { [label]: node } }), ...more },
  spec: { csi: { driver, volumeHandle: "h" } },
});

test("a node knows its own volumes and those that carry no node's label, and hears nothing of the others", async (t) => {
  await using api = await startTestApi();
  const stop = new AbortController();
  const client = openClient(api.cluster, "test");
  t.after(() => {
    stop.abort();
    client.close();
  });
  const informers = openInformers(client, silent, stop.signal);
  api.put(path("mine"), volume("d.example", "n1"));
  api.put(path("theirs"), volume("d.example", "n2"));
  api.put(path("by-hand"), volume("d.example"));
  api.put(path("foreign"), volume("other.example"));
  const volumes = watchVolumes({ informers, driver: { name: "d.example" }, node: "n1" });
  await volumes.synced;
  assert.equal(volumes.hasSynced(), true);
  const names = () =>
    [...volumes.all()].map(({ metadata }) => metadata?.name ?? "").toSorted((a, b) => a.localeCompare(b));
  assert.deepEqual(names(), ["by-hand", "mine"]);
  assert.deepEqual(volumes.by("handle", "h").length, 2);

  const told: string[] = [];
  volumes.on(({ kind, object }) => told.push(`${kind} ${object.metadata?.name}`));
  told.length = 0;
  api.put(path("theirs"), volume("d.example", "n2", { annotations: { more: "1" } }));
  api.put(path("by-hand"), volume("d.example", "n1"));
  api.remove(path("mine"));
  await until(() => told.length === 3, "what changed");
  assert.deepEqual(
    told.toSorted((a, b) => a.localeCompare(b)),
    ["added by-hand", "removed by-hand", "removed mine"],
  );
  assert.deepEqual(names(), ["by-hand"]);

  volumes.put({
    metadata: { name: "written", labels: { [label]: "n1" } },
    spec: { csi: { driver: "d.example", volumeHandle: "w" } },
  });
  assert.equal(volumes.get("written")?.spec?.csi?.volumeHandle, "w");
});

test("where a name can't be a label, all volumes of the driver are known", async (t) => {
  await using api = await startTestApi();
  const stop = new AbortController();
  const client = openClient(api.cluster, "test");
  t.after(() => {
    stop.abort();
    client.close();
  });
  api.put(path("theirs"), { metadata: { labels: { "D.example/node": "n2" } }, spec: volume("D.example").spec });
  const informers = openInformers(client, silent, stop.signal);
  const volumes = watchVolumes({ informers, driver: { name: "D.example" }, node: "n1" });
  await volumes.synced;
  assert.equal(volumes.get("theirs")?.metadata?.name, "theirs");
});
