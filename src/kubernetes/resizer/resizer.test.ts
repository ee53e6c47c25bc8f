import assert from "node:assert/strict";
import { test } from "node:test";
import type { CsiClient } from "../../csi/client.ts";
import { openClient } from "../api/client.ts";
import { type EventRecorder, openEvents } from "../api/events.ts";
import { silent, startTestApi, type TestApi, until } from "../api/test-server.ts";
import type { DriverFacts } from "../driver-facts.ts";
import { openInformers } from "../helper.ts";
import { runResizer } from "./index.ts";

const claimPath = "/api/v1/namespaces/ns/persistentvolumeclaims/c";
const volumePath = "/api/v1/persistentvolumes/v";

function facts(controller: readonly string[]): DriverFacts {
  const none: ReadonlySet<string> = new Set();
  const nodeInfo = { nodeId: "n1", maxVolumes: 0, topology: { "d.example/node": "n1" } };
  return {
    name: "d.example",
    version: "1",
    plugin: none,
    controller: new Set(controller),
    groupController: none,
    node: none,
    nodeInfo,
  };
}

/** A bound claim that asks for more, and the resizer; what the driver is asked is collected. */
async function running(
  api: TestApi,
  options: { node?: string; volume?: object; controller?: string[]; meanwhile?: () => void } = {},
) {
  api.put(claimPath, {
    metadata: { namespace: "ns" },
    spec: { volumeName: "v", resources: { requests: { storage: "2Gi" } } },
    status: { phase: "Bound", capacity: { storage: "1Gi" } },
  });
  const uid = api.objects.get(claimPath)?.metadata.uid;
  const spec = {
    capacity: { storage: "1Gi" },
    accessModes: ["ReadWriteOnce"],
    mountOptions: ["noatime"],
    csi: {
      driver: "d.example",
      volumeHandle: "handle",
      fsType: "xfs",
      controllerExpandSecretRef: { name: "s", namespace: "secrets" },
    },
    claimRef: { namespace: "ns", name: "c", uid },
    ...options.volume,
  };
  api.put(volumePath, { spec });
  api.put("/api/v1/namespaces/secrets/secrets/s", { data: { key: Buffer.from("value").toString("base64") } });
  const asked: object[] = [];
  const csi = {
    controller: {
      controllerExpandVolume: (request: { capacityRange: { requiredBytes: bigint } }) => {
        asked.push(request);
        if (asked.length === 1) options.meanwhile?.();
        return Promise.resolve({ capacityBytes: request.capacityRange.requiredBytes, nodeExpansionRequired: true });
      },
    },
  } as unknown as CsiClient;
  const stop = new AbortController();
  const client = openClient(api.cluster, "test");
  const events: EventRecorder = openEvents(client, { component: "test" }, silent);
  const ended = runResizer({
    api: client,
    csi,
    driver: facts(options.controller ?? ["EXPAND_VOLUME", "SINGLE_NODE_MULTI_WRITER"]),
    events,
    log: silent,
    signal: stop.signal,
    informers: openInformers(client, silent, stop.signal),
    ...(options.node !== undefined && { node: options.node }),
  });
  return {
    asked,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
      await events.flush();
      client.close();
    },
  };
}

test("the driver is asked with the secrets, the capability and the size", async () => {
  await using api = await startTestApi();
  await using it = await running(api);
  await until(() => it.asked.length > 0, "the call");
  assert.deepEqual(it.asked[0], {
    volumeId: "handle",
    capacityRange: { requiredBytes: 2n << 30n },
    secrets: { key: "value" },
    volumeCapability: {
      accessType: { case: "mount", value: { fsType: "xfs", mountFlags: ["noatime"] } },
      accessMode: { mode: 7 },
    },
  });
  await until(() => api.requests.filter((request) => request.startsWith("PATCH")).length >= 3, "the writes");
  const written = api.objects.get(volumePath) as unknown as { spec: { capacity: { storage: string } } };
  assert.equal(written.spec.capacity.storage, "2Gi");
});

const affinity = (...values: string[]) => ({
  nodeAffinity: {
    required: { nodeSelectorTerms: [{ matchExpressions: [{ key: "d.example/node", operator: "In", values }] }] },
  },
});

test("nobody is asked for another node's volume, another driver's, or one that is for an older claim", async () => {
  const foreign = [
    { node: "n1", volume: affinity("n2") },
    { node: "n1", volume: {} },
    { volume: { csi: { driver: "other.example", volumeHandle: "handle" } } },
    { volume: { claimRef: { namespace: "ns", name: "c", uid: "older" } } },
    { controller: [] },
  ];
  await Promise.all(
    foreign.map(async (options) => {
      await using api = await startTestApi();
      await using it = await running(api, options);
      await new Promise((resolve) => setTimeout(resolve, options.node === undefined ? 300 : 2600));
      assert.deepEqual(it.asked, [], JSON.stringify(options));
      assert.deepEqual(
        api.requests.filter((request) => !request.startsWith("GET")),
        [],
      );
    }),
  );
});

test("a node asks for its own", async () => {
  await using api = await startTestApi();
  await using it = await running(api, { node: "n1", volume: affinity("n1") });
  await until(() => it.asked.length > 0, "the call");
});

const volumeNow = (api: TestApi) =>
  structuredClone(api.objects.get(volumePath)) as unknown as { metadata: object; spec: { capacity: object } };
const sizeNow = (api: TestApi) => volumeNow(api).spec.capacity;

test("a volume that others write meanwhile is grown all the same, with one call", async () => {
  await using api = await startTestApi();
  await using it = await running(api, {
    meanwhile: () => api.put(volumePath, { ...volumeNow(api), metadata: { annotations: { theirs: "1" } } }),
  });
  await until(() => JSON.stringify(sizeNow(api)).includes("2Gi"), "the size");
  assert.equal(it.asked.length, 1);
});

test("a size that another resizer has written meanwhile is not taken back", async () => {
  await using api = await startTestApi();
  await using it = await running(api, {
    meanwhile: () => {
      const now = volumeNow(api);
      api.put(volumePath, { ...now, spec: { ...now.spec, capacity: { storage: "4Gi" } } });
      api.put(claimPath, {
        metadata: { namespace: "ns" },
        spec: { volumeName: "v", resources: { requests: { storage: "4Gi" } } },
        status: { phase: "Bound", capacity: { storage: "4Gi" } },
      });
    },
  });
  await until(() => it.asked.length > 0, "the call");
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.deepEqual(sizeNow(api), { storage: "4Gi" });
});
