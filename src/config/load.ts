import { hostname } from "node:os";
import { ConfigError } from "./config-error.ts";
import { check } from "./issues.ts";
import { parsePoolFlag } from "./pool-flag.ts";
import { checkPools, mergePools, poolOf } from "./pools.ts";
import {
  type Config,
  configSchema,
  defaults,
  type KubernetesConfig,
  kubernetesDefaults,
  type Layer,
  services,
} from "./schema.ts";

/** What the command line gave. Absent: not given. */
export interface Flags {
  readonly config?: string | undefined;
  /** Each as `NAME=BACKEND:PATH[,option=value...]`; replaces the file's pool of that name. */
  readonly pool?: readonly string[] | undefined;
  readonly endpoint?: string | undefined;
  readonly "node-id"?: string | undefined;
  readonly "driver-name"?: string | undefined;
  /** Separated by commas. */
  readonly services?: string | undefined;
  readonly "log-level"?: string | undefined;
  readonly "log-format"?: string | undefined;
  readonly "max-volumes"?: string | undefined;
  readonly "grace-seconds"?: string | undefined;
  readonly "init-pools"?: boolean | undefined;
  readonly "health-port"?: string | undefined;
  /** The role; true: given without one. */
  readonly kubernetes?: string | boolean | undefined;
  readonly kubeconfig?: string | undefined;
}

/** The name of a driver over local pools. Kubernetes ties attaching to the name, so shared pools have another. */
const localName = "local.csi.holdfast";
const sharedName = "shared.csi.holdfast";

/** Where a driver listens that was told nothing else, and where the commands look for one. */
export function defaultEndpoint(driverName = localName): string {
  return `unix:///run/holdfast/${driverName}/csi.sock`;
}

/**
 * The configuration that `serve` runs on: flags win over the environment, that over the file, that over the defaults.
 * Reads the file and touches nothing else. Rejects with a ConfigError.
 */
export async function loadConfig(flags: Flags, env: NodeJS.ProcessEnv = process.env): Promise<Config> {
  // Reading YAML costs a tenth of the time in which the driver has to be ready: only where there is a file.
  const file = flags.config === undefined ? {} : (await import("./file.ts")).readConfigFile(flags.config);
  const given = fromFlags(flags);
  const layers = { ...defaults, ...file, ...fromEnvironment(env), ...given };
  const kubernetes = kubernetesOf(file, given);
  const configured = mergePools(
    (file.pools ?? []).map(poolOf),
    (flags.pool ?? []).map((text) => poolOf(parsePoolFlag(text))),
  );
  const controller = kubernetes?.role === "controller";
  const shared = controller && configured.length === 0 ? false : checkPools(configured);
  const driverName = layers.driverName ?? (shared ? sharedName : localName);
  // Each node acts for its own local pools: the controller may have the same file, and leaves them alone.
  const pools = controller && !shared ? [] : configured;
  const { kubernetes: _, services: asked, ...rest } = layers;
  return {
    ...rest,
    driverName,
    nodeId: layers.nodeId ?? nodeIdOf("the host name", hostname()),
    endpoint: (layers.endpoint ?? endpointOf(driverName, kubernetes)).replace(/^(?:unix:)?\/*/, "unix:///"),
    services: [...new Set<Config["services"][number]>(["identity", ...(asked ?? servicesOf(kubernetes, shared))])],
    pools,
    ...(kubernetes === undefined ? {} : { kubernetes }),
  };
}

function kubernetesOf(file: Layer, flags: Layer): KubernetesConfig | undefined {
  if (file.kubernetes === undefined && flags.kubernetes?.role === undefined) {
    if (flags.kubernetes === undefined) return undefined;
    throw new ConfigError("--kubeconfig: is for the Kubernetes helpers; give --kubernetes with it");
  }
  return { ...kubernetesDefaults, ...file.kubernetes, ...flags.kubernetes };
}

/** What each role serves: a shared pool's controller is one process, and its nodes are others. */
function servicesOf(kubernetes: KubernetesConfig | undefined, shared: boolean): readonly (typeof services)[number][] {
  if (kubernetes === undefined || !shared) return services;
  return kubernetes.role === "node" ? ["identity", "node"] : ["identity", "controller"];
}

/** Beside a kubelet the socket is where that looks for it. */
function endpointOf(driverName: string, kubernetes: KubernetesConfig | undefined): string {
  if (kubernetes?.role !== "node") return defaultEndpoint(driverName);
  return `unix://${kubernetes.kubeletDir}/plugins/${driverName}/csi.sock`;
}

function fromFlags(flags: Flags): Layer {
  const input: Record<string, unknown> = {};
  const number = (text: string) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN);
  const take = (flag: keyof Flags, key: keyof Layer, convert: (text: string) => unknown = (text) => text) => {
    const given = flags[flag];
    if (given !== undefined) input[key] = typeof given === "string" ? convert(given) : given;
  };
  take("endpoint", "endpoint");
  take("node-id", "nodeId");
  take("driver-name", "driverName");
  take("services", "services", (text) => text.split(",").map((name) => name.trim()));
  take("log-level", "logLevel");
  take("log-format", "logFormat");
  take("max-volumes", "maxVolumes", number);
  take("grace-seconds", "graceSeconds", number);
  take("init-pools", "initPools");
  take("health-port", "healthPort");
  const { kubernetes, kubeconfig } = flags;
  if (kubernetes !== undefined || kubeconfig !== undefined) {
    const role = kubernetes === true ? "node" : kubernetes;
    input["kubernetes"] = {
      ...(role === undefined ? {} : { role }),
      ...(kubeconfig === undefined ? {} : { kubeconfig }),
    };
  }
  return check(
    configSchema,
    input,
    ([key, inner]) =>
      `--${String(inner === "kubeconfig" ? inner : key).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
  );
}

function fromEnvironment(env: NodeJS.ProcessEnv): Layer {
  const variable = env["HOLDFAST_NODE_ID"] ? "HOLDFAST_NODE_ID" : "KUBE_NODE_NAME";
  const nodeId = env[variable];
  const endpoint = env["CSI_ENDPOINT"];
  return {
    ...(nodeId ? { nodeId: nodeIdOf(variable, nodeId) } : {}),
    ...(endpoint ? check(configSchema, { endpoint }, () => "CSI_ENDPOINT in the environment") : {}),
  };
}

function nodeIdOf(source: string, name: string): string {
  const checked = check(configSchema, { nodeId: name }, () => `the node name from ${source}`).nodeId;
  if (checked === undefined) throw new ConfigError(`${source} gives no node name; set --node-id`);
  return checked;
}
