import assert from "node:assert/strict";
import { test } from "node:test";
import type { VolumeAttachment } from "kubernetes-types/storage/v1.js";
import { type CsiClient, CsiError } from "../../csi/client.ts";
import { isConflict } from "../api/api-error.ts";
import { openClient } from "../api/client.ts";
import { csiNodes, volumeAttachments } from "../api/resources.ts";
import { silent, startTestApi, type TestApi } from "../api/test-server.ts";
import type { HelperContext } from "../helper.ts";
import { openInformers } from "../helper.ts";
import { makeTurns } from "./attach.ts";
import { attacherFinalizer, numberOfCode } from "./names.ts";
import { nodeIdsOf } from "./node-ids.ts";

const volumePath = "/api/v1/persistentvolumes/v";
const attachmentPath = "/apis/storage.k8s.io/v1/volumeattachments/a";
const finalizer = "external-attacher/d-example";

async function turning(api: TestApi) {
  api.put("/apis/storage.k8s.io/v1/csinodes/bare", { spec: { drivers: null } });
  api.put("/apis/storage.k8s.io/v1/csinodes/n", { spec: { drivers: [{ name: "d.example", nodeID: "id-of-n" }] } });
  api.put(volumePath, {
    metadata: { finalizers: ["other"] },
    spec: {
      accessModes: ["ReadWriteOnce"],
      csi: {
        driver: "d.example",
        volumeHandle: "handle",
        readOnly: true,
        controllerPublishSecretRef: { name: "s", namespace: "secrets" },
      },
    },
  });
  api.put("/api/v1/namespaces/secrets/secrets/s", { data: { key: Buffer.from("value").toString("base64") } });
  const asked: { rpc: string; request: object }[] = [];
  const state: { fail?: Error; meanwhile?: () => void } = {};
  const answer = (rpc: string) => (request: object) => {
    asked.push({ rpc, request });
    state.meanwhile?.();
    delete state.meanwhile;
    return state.fail === undefined ? Promise.resolve({ publishContext: { p: "c" } }) : Promise.reject(state.fail);
  };
  const csi = {
    controller: { controllerPublishVolume: answer("publish"), controllerUnpublishVolume: answer("unpublish") },
  } as unknown as CsiClient;
  const stop = new AbortController();
  const client = openClient(api.cluster, "test");
  const informers = openInformers(client, silent, stop.signal);
  const controller = new Set(["PUBLISH_READONLY"]);
  const context = {
    api: client,
    csi,
    driver: { name: "d.example", controller },
    log: silent,
    signal: stop.signal,
    informers,
  } as unknown as HelperContext;
  const known = informers.of(csiNodes);
  const attachments = informers.of(volumeAttachments);
  await Promise.all([known.synced, attachments.synced]);
  const turns = makeTurns(context, attachments, nodeIdsOf(client, known, "d.example"), 1000);
  return {
    asked,
    state,
    turns,
    stored: () => api.objects.get(attachmentPath) as unknown as VolumeAttachment,
    put(node: string, metadata: object = {}): VolumeAttachment {
      const spec = { attacher: "d.example", nodeName: node, source: { persistentVolumeName: "v" } };
      api.put(attachmentPath, { metadata, spec });
      return structuredClone(api.objects.get(attachmentPath)) as unknown as VolumeAttachment;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      client.close();
      await new Promise((resolve) => setTimeout(resolve, 10));
    },
  };
}

test("the driver is asked with what volume, node and secret say, and finalizers come before", async () => {
  await using api = await startTestApi();
  await using it = await turning(api);
  await it.turns.turn(it.put("n"), false);
  assert.deepEqual(it.asked, [
    {
      rpc: "publish",
      request: {
        volumeId: "handle",
        nodeId: "id-of-n",
        volumeCapability: {
          accessType: { case: "mount", value: { fsType: "", mountFlags: [] } },
          accessMode: { mode: 1 },
        },
        readonly: true,
        volumeContext: {},
        secrets: { key: "value" },
      },
    },
  ]);
  const { metadata, status } = it.stored();
  assert.deepEqual(metadata?.finalizers, [finalizer]);
  assert.equal(metadata?.annotations?.["csi.alpha.kubernetes.io/node-id"], "id-of-n");
  assert.deepEqual([status?.attached, status?.attachmentMetadata], [true, { p: "c" }]);
  const volume = api.objects.get(volumePath) as unknown as VolumeAttachment;
  assert.deepEqual(volume.metadata?.finalizers, ["other", finalizer]);
});

test("a node without drivers is said, and nothing is asked", async () => {
  await using api = await startTestApi();
  await using it = await turning(api);
  await assert.rejects(it.turns.turn(it.put("bare"), false), /node bare has no driver d.example/);
  assert.deepEqual(it.asked, []);
  assert.match(it.stored().status?.attachError?.message ?? "", /node bare/);
});

test("what the driver refused is in the status, with its code, and the finalizer stays", async () => {
  await using api = await startTestApi();
  await using it = await turning(api);
  it.state.fail = new CsiError("NOT_FOUND", "no such volume", "ControllerPublishVolume");
  await assert.rejects(it.turns.turn(it.put("n"), false), CsiError);
  const { metadata, status } = it.stored();
  const error = status?.attachError as { message: string; errorCode: number } | undefined;
  assert.deepEqual([error?.message, error?.errorCode], ["NOT_FOUND: no such volume", 5]);
  assert.deepEqual(metadata?.finalizers, [finalizer]);
});

test("an attachment that another has ended is not undone a second time", async () => {
  await using api = await startTestApi();
  await using it = await turning(api);
  const stale = it.put("n", { deletionTimestamp: "2026-01-01T00:00:00Z", finalizers: [finalizer] });
  api.remove(attachmentPath);
  // The same volume is attached to the same node again meanwhile: its name follows from both.
  it.put("n");
  await it.turns.turn(stale, false);
  assert.deepEqual(it.asked, []);
});

test("an attachment that ends while the driver attaches is undone, unless another has taken its place", async () => {
  await using api = await startTestApi();
  await using it = await turning(api);
  it.state.meanwhile = () => api.remove(attachmentPath);
  await it.turns.turn(it.put("n"), false);
  assert.deepEqual(
    it.asked.map(({ rpc }) => rpc),
    ["publish", "unpublish"],
  );
  it.asked.length = 0;
  it.state.meanwhile = () => {
    api.put(attachmentPath, {
      ...it.stored(),
      metadata: { ...it.stored().metadata, deletionTimestamp: "2026-01-01T00:00:00Z" },
    });
  };
  await it.turns.turn(it.put("n"), false);
  assert.deepEqual(
    it.asked.map(({ rpc }) => rpc),
    ["publish", "unpublish"],
  );
  it.asked.length = 0;
  api.remove(attachmentPath);
  it.state.meanwhile = () => {
    api.remove(attachmentPath);
    it.put("n");
  };
  await assert.rejects(it.turns.turn(it.put("n"), false), isConflict);
  assert.deepEqual(
    it.asked.map(({ rpc }) => rpc),
    ["publish"],
  );
});

test("the finalizer's name has no character that Kubernetes refuses", () => {
  assert.equal(attacherFinalizer("shared.csi.holdfast"), "external-attacher/shared-csi-holdfast");
  assert.equal(attacherFinalizer("a_b."), "external-attacher/a-b-X");
  assert.equal(numberOfCode("FAILED_PRECONDITION"), 9);
  assert.equal(numberOfCode("nonsense"), undefined);
});
