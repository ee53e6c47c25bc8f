/** A real Kubernetes without nodes: etcd, API server, controller-manager and scheduler on loopback, ready in about 6 s. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { letGoOfOthers } from "../namespace.ts";
import { run } from "../run.ts";
import type { Scratch } from "../scratch.ts";
import { type Api, openApi } from "./api.ts";
import { type Authority, makeAuthority, makeTokenKeys, writeKubeconfig } from "./certificates.ts";
import { freePorts } from "./ports.ts";
import { type Logged, type Patience, type Service, startService, tailOf, until } from "./service.ts";

const root = join(import.meta.dirname, "../../..");
/** What `need_kubernetes` and `need_sidecars` of scripts/lib.sh built. */
export const binaries = join(root, ".cache/cluster/bin");

/** In-cluster clients find the API server at this address; nodes of `startKubelet` have it on their loopback. */
export const serviceAddress = "10.96.0.1";

export interface ControlPlaneOptions {
  readonly apiServerArgs?: readonly string[];
  /** As `--kube-api-qps=300`; the controller-manager's own defaults hold otherwise. */
  readonly kcmArgs?: readonly string[];
  readonly schedulerArgs?: readonly string[];
}

export interface ControlPlane {
  readonly scratch: Scratch;
  /** As `https://127.0.0.1:40123`. */
  readonly server: string;
  readonly port: number;
  readonly authority: Authority;
  /** The administrator's kubeconfig file. */
  readonly admin: string;
  /** Speaks as the administrator. */
  readonly api: Api;
  readonly apiServer: Service;
  readonly controllerManager: Service;
  readonly scheduler: Service;
  /** The program. */
  readonly kubectlPath: string;
  /** Runs kubectl as the administrator; answers its standard output. */
  kubectl(...args: readonly string[]): Promise<string>;
  /** `kubectl apply` of YAML or JSON text, or of objects. */
  apply(...objects: readonly (string | object)[]): Promise<void>;
  /** A kubeconfig for a user by certificate. */
  kubeconfigOf(user: string, groups?: readonly string[]): Promise<string>;
  /** A kubeconfig for a token. */
  kubeconfigWith(token: string): string;
  /** The API server again, on the same port with the same data, and waits until it is ready. After `apiServer.kill()`. */
  startApiServer(): Promise<void>;
  /** Adds a process to those whose log `until` shows. */
  watch<T extends Logged>(service: T): T;
  /** Asks until the answer is not undefined. Its error has the ends of the logs of what was started on this cluster. */
  until<T>(what: string, ask: () => Promise<T | undefined> | T | undefined, options?: Patience): Promise<T>;
}

/** All of it ends with the scratch folder. */
export async function startControlPlane(scratch: Scratch, options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const folder = mkdtempSync(join(scratch.path, "k8s-"));
  const [port = 0, etcdPort = 0, peerPort = 0] = await freePorts(3);
  const server = `https://127.0.0.1:${port}`;
  const start = (name: string, program: string, args: readonly string[]) =>
    startService(scratch, { name, program, args });

  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const etcd = start("etcd", "etcd", [
    `--data-dir=${join(folder, "etcd")}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
    "--unsafe-no-fsync",
    "--logger=zap",
    "--log-level=warn",
  ]);

  const pki = join(folder, "pki");
  const authority = await makeAuthority(pki);
  const names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"].map(
    (name) => `DNS:${name}`,
  );
  const [own, tokens, admin, manager, scheduling, toKubelets] = await Promise.all([
    authority.server("kube-apiserver", ["IP:127.0.0.1", `IP:${serviceAddress}`, ...names]),
    makeTokenKeys(pki),
    authority.client("admin", ["system:masters"]),
    // All may be done by it: an account for each of its controllers costs 5 s at the start.
    authority.client("system:kube-controller-manager", ["system:masters"]),
    authority.client("system:kube-scheduler"),
    authority.client("kube-apiserver-kubelet-client", ["system:masters"]),
  ]);
  const config = (name: string, credential: Parameters<typeof writeKubeconfig>[3]) =>
    writeKubeconfig(join(folder, `${name}.kubeconfig`), server, authority.certificate, credential);
  const adminConfig = config("admin", admin);

  // Names of nodes lead to forwarders on loopback, in a hosts file that only this process sees.
  const hosts = join(folder, "hosts");
  writeFileSync(hosts, `127.0.0.1 localhost ${Array.from({ length: 9 }, (_, index) => `n${index + 1}`).join(" ")}\n`);
  const apiServer = start("kube-apiserver", "unshare", [
    ...["--mount", "sh", "-c", `${letGoOfOthers()}; mount --bind '${hosts}' /etc/hosts && exec "$@"`, "sh"],
    join(binaries, "kube-apiserver"),
    "--bind-address=127.0.0.1",
    `--secure-port=${port}`,
    `--etcd-servers=${etcdUrl}`,
    `--tls-cert-file=${own.certificate}`,
    `--tls-private-key-file=${own.key}`,
    `--client-ca-file=${authority.certificate}`,
    `--service-account-key-file=${tokens.publicKey}`,
    `--service-account-signing-key-file=${tokens.key}`,
    "--service-account-issuer=https://kubernetes.default.svc",
    "--service-cluster-ip-range=10.96.0.0/24",
    `--kubelet-client-certificate=${toKubelets.certificate}`,
    `--kubelet-client-key=${toKubelets.key}`,
    "--kubelet-preferred-address-types=Hostname",
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    "--allow-privileged",
    "--endpoint-reconciler-type=none",
    ...(options.apiServerArgs ?? []),
  ]);
  const api = openApi(server, authority.certificate, admin);
  scratch.later(() => api.close());
  const ready = async () => {
    await until("the API server is ready", () => api.get<string>("/readyz"), {
      hint: () => `${tailOf(etcd)}\n${tailOf(apiServer)}`,
    });
  };
  await ready();

  const controllerManager = start("kube-controller-manager", join(binaries, "kube-controller-manager"), [
    `--kubeconfig=${config("controller-manager", manager)}`,
    `--service-account-private-key-file=${tokens.key}`,
    `--root-ca-file=${authority.certificate}`,
    "--leader-elect=false",
    "--secure-port=0",
    // Nodes made by hand have no kubelet that reports; they stay as they were made.
    "--node-monitor-grace-period=24h",
    "--node-startup-grace-period=24h",
    ...(options.kcmArgs ?? []),
  ]);
  const scheduler = start("kube-scheduler", join(binaries, "kube-scheduler"), [
    `--kubeconfig=${config("scheduler", scheduling)}`,
    "--leader-elect=false",
    "--secure-port=0",
    ...(options.schedulerArgs ?? []),
  ]);

  const watched: Logged[] = [];
  const kubectlPath = join(binaries, "kubectl");
  let configs = 0;
  const kubectl = (args: readonly string[], input?: string) =>
    run(kubectlPath, ["--kubeconfig", adminConfig, ...args], input === undefined ? {} : { input });
  const plane: ControlPlane = {
    scratch,
    server,
    port,
    authority,
    admin: adminConfig,
    api,
    apiServer,
    controllerManager,
    scheduler,
    kubectlPath,
    kubectl: (...args) => kubectl(args),
    async apply(...objects) {
      const texts = objects.map((object) => (typeof object === "string" ? object : JSON.stringify(object)));
      await kubectl(["apply", "-f", "-"], texts.join("\n---\n"));
    },
    async kubeconfigOf(user, groups) {
      configs += 1;
      return config(`user-${configs}`, await authority.client(user, groups));
    },
    kubeconfigWith(token) {
      configs += 1;
      return config(`token-${configs}`, { token });
    },
    async startApiServer() {
      apiServer.start();
      await ready();
    },
    watch(service) {
      watched.push(service);
      return service;
    },
    until(what, ask, patience = {}) {
      const hint = async () => {
        const logs = watched.map((service) => `--- log of ${service.name}\n${tailOf(service, 30)}\n`).join("");
        return `${logs}${(await patience.hint?.()) ?? ""}`;
      };
      return until(what, ask, { ...patience, hint });
    },
  };
  // What admission asks for before the first pod: the namespace's service account, by the controller-manager.
  await until("the controller-manager works", () => api.find("/api/v1/namespaces/default/serviceaccounts/default"), {
    hint: () => tailOf(controllerManager),
  });
  return plane;
}
