/** For tests: a provisioner over a small API server and a driver that answers as the test says. */
import type { PersistentVolume, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { CsiError } from "../../csi/client.ts";
import { openClient } from "../api/client.ts";
import type { Informer } from "../api/informer.ts";
import type { ApiObject } from "../api/resources.ts";
import { silent, startTestApi, type TestApi } from "../api/test-server.ts";
import { openInformers } from "../helper.ts";
import type { Provisioner } from "./context.ts";
import { openIntents } from "./intents.ts";
import type { Plan } from "./plan.ts";

export interface TestProvisioner extends AsyncDisposable {
  readonly provisioner: Provisioner;
  readonly api: TestApi;
  /** `RPC what` of each call, the oldest first. */
  readonly calls: string[];
  /** `Reason: message` of each event. */
  readonly events: string[];
  /** What CreateVolume answers: a code, or undefined for a volume with the ID `made`. */
  answer: string | undefined;
  /** DeleteVolume answers this code. */
  refusal: string | undefined;
  /** What CreateVolume says of the size; absent: what was asked for. */
  bytes: bigint | undefined;
  /** Runs while CreateVolume is being answered. */
  meanwhile: (() => void) | undefined;
}

export const plan: Plan = {
  claim: { uid: "u", namespace: "ns", name: "c" },
  name: "pvc-u",
  bytes: "1024",
  capabilities: [],
  parameters: {},
  mutableParameters: {},
  volume: { metadata: { name: "pvc-u" }, spec: { csi: { driver: "d", volumeHandle: "" } } },
};

export const volumePath = "/api/v1/persistentvolumes/pvc-u";
export const claimPath = "/api/v1/namespaces/ns/persistentvolumeclaims/c";

/** As the API server has it: of this driver, on that node. */
export const volumeOn = (node: string, volumeHandle: string): PersistentVolume => ({
  spec: {
    csi: { driver: "d", volumeHandle },
    nodeAffinity: {
      required: { nodeSelectorTerms: [{ matchExpressions: [{ key: "d/node", operator: "In", values: [node] }] }] },
    },
  },
});

/** A provisioner of the node n1, with these claims in its cache. */
export async function testProvisioner(claims: readonly PersistentVolumeClaim[] = []): Promise<TestProvisioner> {
  const api = await startTestApi();
  const client = openClient(api.cluster, "test");
  const stop = new AbortController();
  const calls: string[] = [];
  const events: string[] = [];
  const controller = {
    createVolume: ({ name = "", capacityRange }: { name?: string; capacityRange?: { requiredBytes?: bigint } }) => {
      calls.push(`CreateVolume ${name}`);
      it.meanwhile?.();
      if (it.answer !== undefined) return Promise.reject(new CsiError(it.answer, "as the test says", "CreateVolume"));
      const capacityBytes = it.bytes ?? capacityRange?.requiredBytes ?? 0n;
      const accessibleTopology = [{ segments: { "d/node": "n1" } }];
      return Promise.resolve({ volume: { volumeId: "made", capacityBytes, volumeContext: {}, accessibleTopology } });
    },
    deleteVolume: ({ volumeId = "" }) => {
      calls.push(`DeleteVolume ${volumeId}`);
      if (it.refusal !== undefined) return Promise.reject(new CsiError(it.refusal, "in use", "DeleteVolume"));
      return Promise.resolve({});
    },
  };
  const say = (_resource: unknown, _object: unknown, reason: string, message: string) => {
    events.push(`${reason}: ${message}`);
  };
  const provisioner: Provisioner = {
    api: client,
    csi: { controller } as unknown as Provisioner["csi"],
    driver: {
      name: "d",
      version: "1",
      plugin: new Set(["VOLUME_ACCESSIBILITY_CONSTRAINTS"]),
      controller: new Set(["CREATE_DELETE_VOLUME", "CREATE_DELETE_SNAPSHOT", "CLONE_VOLUME"]),
      groupController: new Set(),
      node: new Set(),
      nodeInfo: { nodeId: "n1", maxVolumes: 0, topology: { "d/node": "n1" } },
    },
    events: { normal: say, warning: say, flush: () => Promise.resolve() },
    log: silent,
    node: "n1",
    signal: stop.signal,
    informers: openInformers(client, silent, stop.signal),
    options: {},
    timeoutMs: 1000,
    claims: cacheOf(claims),
    volumes: cacheOf<PersistentVolume>([]),
    classes: cacheOf([{ metadata: { name: "class" }, provisioner: "d" }]),
    places: { synced: Promise.resolve(), of: () => ({ "d/node": "n1" }), all: () => [{ "d/node": "n1" }] },
    intents: await openIntents(undefined, silent),
    ahead: new Map(),
    ending: new Set(),
    withTopology: true,
    holds: () => false,
  };
  const it: TestProvisioner = {
    provisioner,
    api,
    calls,
    events,
    answer: undefined,
    refusal: undefined,
    bytes: undefined,
    meanwhile: undefined,
    async [Symbol.asyncDispose]() {
      stop.abort();
      client.close();
      await api[Symbol.asyncDispose]();
    },
  };
  return it;
}

/** What a watch would keep, without a watch: found by name and by UID. */
function cacheOf<T extends ApiObject>(first: readonly T[]): Informer<T> {
  const objects = new Map(first.map((object) => [object.metadata?.name, object]));
  return {
    synced: Promise.resolve(),
    hasSynced: () => true,
    isFollowing: () => true,
    get: (name) => objects.get(name),
    all: () => objects.values(),
    by: (index, value) => [...objects.values()].filter(({ metadata }) => index === "uid" && metadata?.uid === value),
    on: () => () => undefined,
    put: (object) => objects.set(object.metadata?.name, object),
  };
}
