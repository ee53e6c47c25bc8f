/** A control plane, a pool's disk and a node made by hand; claims select the node as the scheduler would. */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { type ApiClient, openClient } from "../../src/kubernetes/api/client.ts";
import { clusterOfKubeconfig } from "../../src/kubernetes/api/cluster.ts";
import { claims } from "../../src/kubernetes/api/resources.ts";
import { makeClass, makeDriverObject } from "../../test/support/cluster/claims.ts";
import { type ControlPlane, startControlPlane } from "../../test/support/cluster/control-plane.ts";
import { ensure, installDefinitions, makeNode } from "../../test/support/cluster/objects.ts";
import { snapshotDefinitions } from "../../test/support/cluster/upstream.ts";
import { makePoolDisk } from "../../test/support/pool-disk.ts";
import type { Bench } from "../support/bench.ts";
import { type Clock, openClock } from "./clock.ts";
import { driverName, nodeName } from "./sides.ts";

/** So many requests a second and at once that the controller-manager hides nothing. */
export const raisedLimits = ["--kube-api-qps=300", "--kube-api-burst=600"];

export const className = "bench";
export const namespace = "bench";

export interface Scene {
  readonly plane: ControlPlane;
  readonly api: ApiClient;
  readonly clock: Clock;
  /** As `--pool` takes it. */
  readonly pool: string;
  /** Makes a claim of 64 MiB that has selected `node`; absent: the scene's; null: none, a pod will. */
  claim(name: string, node?: string | null): Promise<PersistentVolumeClaim>;
  remove(name: string): Promise<void>;
}

/** `kcmArgs`: absent, the controller-manager's defaults; so the API server's. `withNode` false: none is made. */
export async function openScene(
  bench: Bench,
  options: {
    readonly kcmArgs?: readonly string[];
    readonly apiServerArgs?: readonly string[];
    readonly withNode?: boolean;
  } = {},
): Promise<Scene> {
  bench.say("starting a control plane");
  const { scratch } = bench;
  const [plane, disk] = await Promise.all([
    startControlPlane(scratch, { kcmArgs: options.kcmArgs ?? [], apiServerArgs: options.apiServerArgs ?? [] }),
    makePoolDisk(scratch, "xfs"),
  ]);
  await installDefinitions(plane, snapshotDefinitions);
  await makeDriverObject(plane, driverName);
  await makeClass(plane, className, { driver: driverName });
  await ensure(plane.api, "/api/v1/namespaces", namespace);
  if (options.withNode !== false) {
    const key = `${driverName}/node`;
    const driver = { name: driverName, nodeID: nodeName, topologyKeys: [key] };
    await makeNode(plane, nodeName, { labels: { [key]: nodeName }, drivers: [driver] });
  }
  const api = openClient(clusterOfKubeconfig(plane.admin), "holdfast-bench");
  const ending = new AbortController();
  scratch.later(() => {
    ending.abort();
    api.close();
  });
  const clock = await openClock(api, ending.signal);
  return {
    plane,
    api,
    clock,
    pool: `p=image:${disk.path}`,
    claim: (name, node = nodeName) =>
      api.create(claims, {
        metadata: {
          name,
          namespace,
          ...(node !== null && { annotations: { "volume.kubernetes.io/selected-node": node } }),
        },
        spec: {
          storageClassName: className,
          accessModes: ["ReadWriteOnce"],
          resources: { requests: { storage: "64Mi" } },
        },
      }),
    remove: (name) => api.delete(claims, { name, namespace }),
  };
}
