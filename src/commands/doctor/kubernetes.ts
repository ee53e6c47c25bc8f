/** `doctor --kubernetes`: what the cluster must have for the driver's helpers, seen from a node or from outside. */
import type { KubernetesConfig } from "../../config/schema.ts";
import { type ApiClient, openClient } from "../../kubernetes/api/client.ts";
import { findCluster } from "../../kubernetes/api/cluster.ts";
import { version } from "../version.ts";
import { error, type Finding } from "./finding.ts";
import { access } from "./kubernetes/access.ts";
import { driverObject } from "./kubernetes/driver-object.ts";
import { lease } from "./kubernetes/lease.ts";
import { nodeEntry } from "./kubernetes/node-entry.ts";
import { policies } from "./kubernetes/policies.ts";
import { registration } from "./kubernetes/registration.ts";
import { snapshots } from "./kubernetes/snapshots.ts";

export interface Subject {
  readonly role: KubernetesConfig["role"];
  readonly shared: boolean;
  readonly driverName: string;
  /** The Node object's name. */
  readonly node: string;
  readonly kubeletDir: string;
  /** The driver's socket. */
  readonly csiAddress: string;
  /** Where the chart is installed. */
  readonly namespace: string;
}

/** What is asked of the API server, with the account that asks it. */
export interface Looked extends Subject {
  readonly api: ApiClient;
}

export async function kubernetes(
  subject: Omit<Subject, "namespace">,
  options: { readonly kubeconfig?: string; readonly namespace?: string },
): Promise<Finding[]> {
  const local = subject.role === "node" ? await registration(subject) : [];
  let api: ApiClient;
  try {
    api = openClient(findCluster(options.kubeconfig), `holdfast-doctor/${version()}`);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return [...local, error("cluster", why, "give --kubeconfig FILE, or run this in the driver's pod: kubectl exec")];
  }
  try {
    await api.send({ method: "GET", path: "/version", timeoutMs: 10_000 });
  } catch (cause) {
    api.close();
    return [...local, error("cluster", String(cause), "look at the API server, and at the way to it from here")];
  }
  const namespace = options.namespace ?? api.cluster.namespace ?? "holdfast";
  const looked: Looked = { ...subject, api, namespace };
  try {
    const parts = [nodeEntry, driverObject, access, policies, lease, snapshots];
    return [...local, ...(await Promise.all(parts.map((part) => part(looked)))).flat()];
  } finally {
    api.close();
  }
}
