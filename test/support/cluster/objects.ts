/** Objects that tests make again and again. */
import type { CsiClient } from "../../../src/csi/client.ts";
import { type Api, ApiError } from "./api.ts";
import type { ControlPlane } from "./control-plane.ts";

export interface NodeOptions {
  readonly labels?: Readonly<Record<string, string>>;
  /** Its CSINode has an entry for each: the driver's name, its node ID, its topology keys. */
  readonly drivers?: readonly {
    readonly name: string;
    readonly nodeID?: string;
    readonly topologyKeys?: readonly string[];
  }[];
}

/** A node without a kubelet: Ready, with its CSINode. Answers its UID. Pods that land there never run. */
export async function makeNode(plane: ControlPlane, name: string, options: NodeOptions = {}): Promise<string> {
  const { api } = plane;
  const labels = { "kubernetes.io/hostname": name, ...options.labels };
  const room = { cpu: "64", memory: "64Gi", pods: "1000", "ephemeral-storage": "1Ti" };
  const made = await api.create<{ metadata: { uid: string } }>("/api/v1/nodes", { metadata: { name, labels } });
  const conditions = [
    { type: "Ready", status: "True", reason: "MadeByHand", lastTransitionTime: new Date().toISOString() },
  ];
  await api.merge(`/api/v1/nodes/${name}/status`, { status: { capacity: room, allocatable: room, conditions } });
  // Admission taints a new node until the controller-manager has seen its condition.
  await api.merge(`/api/v1/nodes/${name}`, { spec: { taints: null } });
  const drivers = (options.drivers ?? []).map((driver) => ({ nodeID: name, topologyKeys: [], ...driver }));
  const owner = { apiVersion: "v1", kind: "Node", name, uid: made.metadata.uid };
  await api.create("/apis/storage.k8s.io/v1/csinodes", {
    metadata: { name, ownerReferences: [owner] },
    spec: { drivers },
  });
  return made.metadata.uid;
}

export interface TokenOptions {
  /** Its node's name goes into the token, as for a pod that runs there. Absent: a token bound to nothing. */
  readonly node?: string;
  /** Absent: an hour; the API server takes no less than 600. */
  readonly seconds?: number;
}

/**
 * A service account's token, as the kubelet of `node` asks it for a pod there: a pod is made by hand on that node, and
 * the token ends with it. Makes the account if there is none.
 */
export async function tokenFor(plane: ControlPlane, namespace: string, account: string, options: TokenOptions = {}) {
  const { api } = plane;
  await ensure(api, "/api/v1/namespaces", namespace);
  await ensure(api, `/api/v1/namespaces/${namespace}/serviceaccounts`, account);
  let bound = {};
  if (options.node !== undefined) {
    const pod = await api.create<{ metadata: { name: string; uid: string } }>(`/api/v1/namespaces/${namespace}/pods`, {
      metadata: { generateName: `${account}-` },
      spec: {
        nodeName: options.node,
        serviceAccountName: account,
        containers: [{ name: "c", image: "none" }],
      },
    });
    const { name, uid } = pod.metadata;
    bound = { boundObjectRef: { apiVersion: "v1", kind: "Pod", name, uid } };
  }
  const answer = await api.create<{ status: { token: string } }>(
    `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
    { spec: { audiences: [], expirationSeconds: options.seconds ?? 3600, ...bound } },
  );
  return answer.status.token;
}

/** Made unless there is one. */
export async function ensure(api: Api, path: string, name: string): Promise<void> {
  try {
    await api.create(path, { metadata: { name } });
  } catch (error) {
    if (!(error instanceof ApiError) || error.reason !== "AlreadyExists") throw error;
  }
}

/** The definitions in the YAML files of a folder, and waits until the API server serves them. */
export async function installDefinitions(plane: ControlPlane, folder: string): Promise<void> {
  await plane.kubectl("apply", "-f", folder);
  await plane.kubectl("wait", "--for=condition=Established", "--timeout=20s", "-f", folder);
}

/** As `makeNode`, with what a driver says of its node: what a kubelet would write after its registration. */
export async function registerNode(plane: ControlPlane, name: string, client: CsiClient): Promise<string> {
  const [info, about] = await Promise.all([client.identity.getPluginInfo({}), client.node.nodeGetInfo({})]);
  const segments = about.accessibleTopology?.segments ?? {};
  const driver = { name: info.name, nodeID: about.nodeId, topologyKeys: Object.keys(segments) };
  return makeNode(plane, name, { labels: segments, drivers: [driver] });
}
