/**
 * Where the API server is and how to prove who one is: from a kubeconfig, or from what Kubernetes puts into a pod
 * (Kubernetes documentation, "Accessing the Kubernetes API from a Pod" and "Organizing Cluster Access Using kubeconfig
 * Files").
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { promisify } from "node:util";
import { parse } from "yaml";

export interface Cluster {
  /** As https://10.0.0.1:443, perhaps with a path. */
  readonly server: URL;
  /** PEM; absent: the system's. */
  readonly ca?: string;
  /** PEM, both or none. */
  readonly certificate?: string;
  readonly key?: string;
  readonly skipVerification?: boolean;
  /** The name in the server's certificate; absent: the host of `server`. */
  readonly serverName?: string;
  /** The bearer token of now; absent: none is sent. Asked before each request, so it must be quick. */
  readonly token?: () => Promise<string | undefined>;
  /** The namespace that is meant where none is named; absent: `default`. */
  readonly namespace?: string;
}

/** What is wrong with a kubeconfig or a pod's folder, and what to do. */
export class ClusterError extends Error {
  override readonly name = "ClusterError";
}

const podFolder = "/var/run/secrets/kubernetes.io/serviceaccount";
/** The kubelet replaces a pod's token well before its end; a minute's delay is what the official clients have. */
const rereadTokenMs = 60_000;

/** The cluster that `kubeconfig` names; absent: KUBECONFIG, else that of the pod. Throws a ClusterError. */
export function findCluster(kubeconfig?: string): Cluster {
  const path = kubeconfig ?? process.env["KUBECONFIG"]?.split(":")[0];
  if (path !== undefined && path !== "") return clusterOfKubeconfig(path);
  return clusterOfPod();
}

function clusterOfPod(): Cluster {
  const host = process.env["KUBERNETES_SERVICE_HOST"];
  const port = process.env["KUBERNETES_SERVICE_PORT"];
  if (!host || !port) {
    throw new ClusterError("this is not a pod (KUBERNETES_SERVICE_HOST is not set): give --kubeconfig FILE");
  }
  const read = (name: string) => {
    try {
      return readFileSync(`${podFolder}/${name}`, "utf8");
    } catch (cause) {
      const fix = "has the pod a service account, with automountServiceAccountToken?";
      throw new ClusterError(`${podFolder}/${name} can't be read: ${fix}`, { cause });
    }
  };
  return {
    server: new URL(`https://${host.includes(":") ? `[${host}]` : host}:${port}`),
    ca: read("ca.crt"),
    token: rereading(`${podFolder}/token`),
    namespace: read("namespace").trim(),
  };
}

/** A token in a file that somebody else renews. */
function rereading(path: string): () => Promise<string> {
  let token: string | undefined;
  let readAt = 0;
  return async () => {
    if (token === undefined || performance.now() - readAt > rereadTokenMs) {
      readAt = performance.now();
      token = (await readFile(path, "utf8")).trim();
    }
    return token;
  };
}

interface Kubeconfig {
  readonly "current-context"?: string;
  readonly contexts?: readonly Named<"context", { cluster?: string; user?: string; namespace?: string }>[];
  readonly clusters?: readonly Named<"cluster", Readonly<Record<string, unknown>>>[];
  readonly users?: readonly Named<"user", Readonly<Record<string, unknown>>>[];
}
type Named<K extends string, T> = { readonly name?: string } & { readonly [P in K]?: T };

/** The current context of a kubeconfig. Throws a ClusterError. */
export function clusterOfKubeconfig(path: string): Cluster {
  const wrong = (what: string, cause?: unknown) => new ClusterError(`kubeconfig ${path}: ${what}`, { cause });
  let config: Kubeconfig;
  try {
    config = parse(readFileSync(path, "utf8")) as Kubeconfig;
  } catch (cause) {
    throw wrong(cause instanceof Error ? cause.message : String(cause), cause);
  }
  const context = config.contexts?.find((one) => one.name === config["current-context"])?.context;
  if (!context) throw wrong(`current-context ${config["current-context"] ?? "is missing and"} names no context`);
  const cluster = config.clusters?.find((one) => one.name === context.cluster)?.cluster;
  if (!cluster) throw wrong(`there is no cluster ${context.cluster}`);
  const user = config.users?.find((one) => one.name === context.user)?.user ?? {};
  const server = cluster["server"];
  if (typeof server !== "string" || !URL.canParse(server)) throw wrong("the cluster has no server address");
  const text = (from: Readonly<Record<string, unknown>>, key: string) => {
    const value = from[key];
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  /** A PEM that stands in the file, base64, or in a file of its own. */
  const pem = (from: Readonly<Record<string, unknown>>, key: string) => {
    const data = text(from, `${key}-data`);
    if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
    const file = text(from, key);
    return file === undefined ? undefined : readFileSync(resolve(dirname(path), file), "utf8");
  };
  if (text(user, "username") !== undefined) throw wrong("the API server takes no passwords any more: use a token");
  const ca = pem(cluster, "certificate-authority");
  const certificate = pem(user, "client-certificate");
  const key = pem(user, "client-key");
  const serverName = text(cluster, "tls-server-name");
  const token = tokenOf(user, path, text);
  return {
    server: new URL(server),
    ...(ca !== undefined && { ca }),
    ...(certificate !== undefined && key !== undefined && { certificate, key }),
    ...(cluster["insecure-skip-tls-verify"] === true && { skipVerification: true }),
    ...(serverName !== undefined && { serverName }),
    ...(context.namespace !== undefined && { namespace: context.namespace }),
    ...(token !== undefined && { token }),
  };
}

function tokenOf(
  user: Readonly<Record<string, unknown>>,
  path: string,
  text: (from: Readonly<Record<string, unknown>>, key: string) => string | undefined,
): Cluster["token"] {
  const token = text(user, "token");
  if (token !== undefined) return () => Promise.resolve(token);
  const file = text(user, "tokenFile");
  if (file !== undefined) return rereading(resolve(dirname(path), file));
  const exec = user["exec"] as ExecPlugin | undefined;
  return exec?.command === undefined ? undefined : executing(exec, exec.command, path);
}

interface ExecPlugin {
  readonly command?: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly apiVersion?: string;
}

/** A credential plugin (client.authentication.k8s.io): a program that prints a token and its end. */
function executing(plugin: ExecPlugin, command: string, path: string): () => Promise<string | undefined> {
  let known: { readonly token: string | undefined; readonly until: number } | undefined;
  return async () => {
    if (known !== undefined && Date.now() < known.until) return known.token;
    const info = { kind: "ExecCredential", apiVersion: plugin.apiVersion, spec: { interactive: false } };
    const env: NodeJS.ProcessEnv = { ...process.env, KUBERNETES_EXEC_INFO: JSON.stringify(info) };
    for (const { name, value } of plugin.env ?? []) env[name] = value;
    const program = command.includes("/") ? resolve(dirname(path), command) : command;
    const { stdout } = await promisify(execFile)(program, [...(plugin.args ?? [])], { env, timeout: 60_000 });
    const status = (JSON.parse(stdout) as { status?: { token?: string; expirationTimestamp?: string } }).status ?? {};
    const end = status.expirationTimestamp === undefined ? Number.NaN : Date.parse(status.expirationTimestamp);
    known = { token: status.token, until: Number.isNaN(end) ? Number.POSITIVE_INFINITY : end - rereadTokenMs };
    return known.token;
  };
}
