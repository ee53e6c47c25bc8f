/**
 * The configuration as people write it, in YAML. docs/reference/configuration.schema.json is generated from it
 * (scripts/config-schema.ts), and docs/reference/configuration.md explains it.
 */
import * as v from "valibot";
import { parseHealthPort } from "../observe/health-port.ts";
import { logFormats, logLevels } from "../observe/log.ts";
import { parseDuration } from "./duration.ts";
import { parseSize } from "./size.ts";

/** Calls `parse` and reports what it throws as an issue of this key. */
function parsed<In, Out>(parse: (input: In) => Out): v.RawTransformAction<In, Out> {
  return v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return parse(dataset.value);
    } catch (error) {
      addIssue({ message: error instanceof Error ? error.message : String(error) });
      return NEVER;
    }
  });
}

const size = (description: string) =>
  v.pipe(
    v.union([v.string(), v.number()], "expected a size, as 10Gi or a number of bytes"),
    v.description(description),
    parsed((value: string | number) => parseSize(String(value))),
  );
const duration = (description: string) =>
  v.pipe(
    v.union([v.string(), v.number()], "expected a duration, as 10s or a number of seconds"),
    v.description(description),
    parsed(parseDuration),
  );
const text = (description: string, pattern: RegExp, expected: string) =>
  v.pipe(
    v.string(),
    v.regex(pattern, (issue) => `${issue.received} is not ${expected}`),
    v.description(description),
  );
const flag = (description: string) => v.pipe(v.boolean("expected true or false"), v.description(description));

export const services = ["identity", "controller", "node"] as const;

const label = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?";
/** Domain style and lower case, because it is the prefix of the topology key; csi-sanity wants letters at both ends. */
const driverName = new RegExp(`^(?=.{1,63}$)(?=[a-z])(?=.*[a-z]$)${label}(?:\\.${label})*$`);
/** What a Kubernetes label value may be, because it is the value of the topology key. */
const nodeName = /^(?=.{1,63}$)[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?$/;

export const poolSchema = v.strictObject({
  name: text(
    "The name that the StorageClass parameter pool picks it by: lower case letters, digits and dashes, at most 63.",
    /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    "a pool name: write lower case letters, digits and dashes, at most 63",
  ),
  backend: v.pipe(
    v.string(),
    v.minLength(1, "expected image, directory or the path to a module"),
    v.description("image, directory, or the path to a module that makes a pool."),
  ),
  path: v.pipe(
    v.string(),
    v.minLength(1, "expected the path of the pool's folder"),
    v.description("The pool's folder. A relative path starts at the folder of the configuration file."),
  ),
  size: v.exactOptional(
    size("What may be promised in all. Absent: the free bytes of its file system and what it holds."),
  ),
  overcommit: v.exactOptional(
    v.pipe(
      v.number("expected a number above 0"),
      v.gtValue(0, "expected a number above 0"),
      v.maxValue(1000, "expected a number up to 1000"),
      v.description("How many times the pool's size may be promised. Absent: once."),
    ),
  ),
  reserve: v.exactOptional(size("What is never promised. Absent: the backend's own default.")),
  thick: v.exactOptional(flag("Reserves every block when a volume is made. Image pools only. Absent: false.")),
  shared: v.exactOptional(flag("The folder lies on a file system that every node mounts. Absent: false.")),
  maxFreeze: v.exactOptional(
    duration(
      "The longest that a volume in use stands still for a snapshot that has to be copied. Image pools only. Absent: 10s.",
    ),
  ),
  options: v.exactOptional(
    v.pipe(v.record(v.string(), v.string()), v.description("Passed on to a backend that is a module.")),
  ),
});

export const roles = ["node", "controller"] as const;

const absolutePath = (description: string) => text(description, /^\/[^\0]*$/, "an absolute path");

/** What the Kubernetes helpers in the driver's process need; that the key is there turns them on. */
export const kubernetesSchema = v.strictObject({
  role: v.exactOptional(
    v.pipe(
      v.picklist(roles, (issue) => `${issue.received} is not a role: write node or controller`),
      v.description(
        "node: on each node, beside the kubelet. controller: once in the cluster, for what needs more power than one node's. Absent: node.",
      ),
    ),
  ),
  kubeconfig: v.exactOptional(
    text(
      "The API server and whom to be there. Absent: KUBECONFIG, else the pod's own account.",
      /^[^\0]+$/,
      "the path of a kubeconfig",
    ),
  ),
  kubeletDir: v.exactOptional(
    absolutePath("The kubelet's folder, here and where the kubelet is. Absent: /var/lib/kubelet."),
  ),
  registrationPath: v.exactOptional(
    absolutePath("The driver's socket as the kubelet sees its path. Absent: as in endpoint."),
  ),
  namespace: v.exactOptional(
    text(
      "Where Leases and storage capacities are. Absent: the pod's.",
      /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
      "the name of a namespace",
    ),
  ),
  stateFolder: v.exactOptional(
    absolutePath(
      "Where the helpers keep what they began, over a crash. Absent: beside the socket's folder; for the controller of shared pools in the first pool.",
    ),
  ),
  capacity: v.exactOptional(flag("Publishes what the pools have left, for the scheduler. Absent: true.")),
  snapshotController: v.exactOptional(
    flag("Runs the cluster's snapshot-controller too, in the controller's role. Absent: false."),
  ),
});

export const configSchema = v.strictObject({
  driverName: v.exactOptional(
    text(
      "The driver's name.",
      driverName,
      "a driver name: write a lower case domain name of at most 63 characters that starts and ends with a letter",
    ),
  ),
  nodeId: v.exactOptional(
    text(
      "This node's name. Absent: HOLDFAST_NODE_ID, KUBE_NODE_NAME, else the host name.",
      nodeName,
      "a node name: write at most 63 letters, digits, dashes, dots and underscores, with a letter or digit at both ends",
    ),
  ),
  endpoint: v.exactOptional(
    text(
      "The socket, as unix:///run/holdfast/csi.sock.",
      /^(?:unix:(?:\/\/)?)?(?=.{2,107}$)\/[^/\0][^\0]*[^/\0]$/,
      "the address of a Unix socket: write unix:///absolute/path.sock, at most 107 bytes",
    ),
  ),
  services: v.exactOptional(
    v.pipe(
      v.array(
        v.picklist(services, (issue) => `${issue.received} is not a service: write identity, controller or node`),
        "expected a list of services",
      ),
      v.minLength(1, "expected at least one service"),
      v.description("Which services answer on the socket. Identity always does."),
    ),
  ),
  logLevel: v.exactOptional(
    v.pipe(
      v.picklist(logLevels, (issue) => `${issue.received} is not a log level: write ${logLevels.join(", ")}`),
      v.description("The least level that is logged."),
    ),
  ),
  logFormat: v.exactOptional(
    v.pipe(
      v.picklist(logFormats, (issue) => `${issue.received} is not a log format: write pretty or json`),
      v.description("Absent: pretty on a terminal, else json."),
    ),
  ),
  pools: v.exactOptional(
    v.pipe(v.array(poolSchema, "expected a list of pools"), v.description("The pools that are served.")),
  ),
  maxVolumes: v.exactOptional(
    v.pipe(
      v.number("expected a whole number"),
      v.integer("expected a whole number"),
      v.minValue(0, "expected 0 or more"),
      v.description("How many volumes this node takes; 0 means as many as it can."),
    ),
  ),
  initPools: v.exactOptional(flag("Makes folders pools that are not yet. For scratch use only.")),
  controllerExpansion: v.exactOptional(
    flag(
      "false: volumes grow by NodeExpandVolume alone, and the controller declares no growth. For upstream's resizer with local pools, which can't reach each node. Absent: true.",
    ),
  ),
  graceSeconds: v.exactOptional(
    v.pipe(
      v.number("expected a number of seconds"),
      v.minValue(0, "expected 0 or more"),
      v.maxValue(3600, "expected at most 3600"),
      v.description("How long running calls may take to finish when the driver is told to stop."),
    ),
  ),
  healthPort: v.exactOptional(
    v.pipe(
      v.union([v.string(), v.number()], "expected a port, as 9808 or 127.0.0.1:9808"),
      v.description("Serves /healthz, /livez and /readyz, as 9808 or 127.0.0.1:9808. Absent: nothing is served."),
      parsed((value: string | number) => parseHealthPort(String(value))),
    ),
  ),
  kubernetes: v.exactOptional(kubernetesSchema),
});

/** What one layer gives: the file, the environment or the flags. */
export type Layer = v.InferOutput<typeof configSchema>;
/** A pool as it was written. */
export type PoolLayer = v.InferOutput<typeof poolSchema>;

/** What holds where no layer says anything else; the rest follows from other keys or from the host. */
export const defaults = {
  logLevel: "info",
  pools: [],
  maxVolumes: 0,
  initPools: false,
  controllerExpansion: true,
  graceSeconds: 20,
} as const satisfies v.InferInput<typeof configSchema>;

/** Of the key `kubernetes`. */
export const kubernetesDefaults = {
  role: "node",
  kubeletDir: "/var/lib/kubelet",
  capacity: true,
  snapshotController: false,
} as const satisfies v.InferInput<typeof kubernetesSchema>;

/** A pool as the driver opens it. */
export interface PoolConfig {
  readonly name: string;
  /** `image`, `directory`, or the absolute path of a module. */
  readonly backend: string;
  /** Absolute. */
  readonly path: string;
  readonly shared: boolean;
  /** Only what was given: sizes in bytes, `maxFreeze` in milliseconds. `extra` is for a module. */
  readonly options: {
    readonly size?: number;
    readonly overcommit?: number;
    readonly reserve?: number;
    readonly thick?: boolean;
    readonly maxFreeze?: number;
    readonly extra: Readonly<Record<string, string>>;
  };
}

/** What `serve` runs on: everything has its value. */
export interface Config {
  readonly driverName: string;
  readonly nodeId: string;
  /** As `unix:///absolute/path`. */
  readonly endpoint: string;
  /** Identity is always among them. */
  readonly services: readonly (typeof services)[number][];
  readonly logLevel: (typeof logLevels)[number];
  /** Absent: pretty on a terminal, else json. */
  readonly logFormat?: "pretty" | "json";
  /** All shared, or none. At least one, but where the controller's role has only the cluster to look after. */
  readonly pools: readonly PoolConfig[];
  /** 0: not limited. */
  readonly maxVolumes: number;
  readonly initPools: boolean;
  readonly controllerExpansion: boolean;
  readonly graceSeconds: number;
  /** Absent: health is not served. */
  readonly healthPort?: { readonly host?: string; readonly port: number };
  /** Absent: no Kubernetes. */
  readonly kubernetes?: KubernetesConfig;
}

/** How the helpers run beside the driver. */
export interface KubernetesConfig {
  readonly role: (typeof roles)[number];
  readonly kubeconfig?: string;
  readonly kubeletDir: string;
  readonly registrationPath?: string;
  readonly namespace?: string;
  readonly stateFolder?: string;
  readonly capacity: boolean;
  readonly snapshotController: boolean;
}
