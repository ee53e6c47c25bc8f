/** The flags of `serve`, in one table for the daemon, whose start must be fast, and for help and completion. */
import { parseArgs } from "node:util";
import { ConfigError, suggestion } from "../config/config-error.ts";
import type { Flags } from "../config/load.ts";
import { roles } from "../config/schema.ts";
import { logFormats, logLevels } from "../observe/log.ts";

export interface Flag {
  /** Absent: the flag takes no value. */
  readonly value?: string;
  /** The value may be left out, and is joined by an equals sign where it is not. */
  readonly optional?: boolean;
  readonly repeated?: boolean;
  /** For the help and the completion; the configuration's schema decides what is taken. */
  readonly choices?: readonly string[];
  readonly text: string;
}

export const poolFlags = {
  config: { value: "file", text: "the configuration, in YAML" },
  pool: {
    value: "name=backend:path[,option=value...]",
    repeated: true,
    text: "a pool, as fast=image:/srv/fast,size=10Gi; may be repeated; replaces the file's of that name",
  },
  "driver-name": { value: "name", text: "absent: local.csi.holdfast, for shared pools shared.csi.holdfast" },
  "node-id": { value: "id", text: "this node's name; absent: HOLDFAST_NODE_ID, KUBE_NODE_NAME, else the host name" },
} as const satisfies Record<string, Flag>;

export const serveFlags = {
  ...poolFlags,
  endpoint: {
    value: "address",
    text: "the socket; absent: CSI_ENDPOINT, else unix:///run/holdfast/, the driver's name and /csi.sock",
  },
  services: { value: "list", text: "identity, controller, node: which of them to serve; absent: all" },
  "init-pools": { text: "makes folders pools that are not yet; for scratch use only" },
  "max-volumes": { value: "count", text: "how many volumes this node takes; 0, the default: not limited" },
  "grace-seconds": { value: "seconds", text: "how long running calls may take when it is told to stop; default 20" },
  kubernetes: {
    value: "role",
    optional: true,
    choices: roles,
    text: "runs the Kubernetes helpers too: node beside a kubelet, or controller once in the cluster; the role is joined by an equals sign; absent: node",
  },
  kubeconfig: { value: "file", text: "for the helpers; absent: KUBECONFIG, else the pod's own account" },
  "health-port": {
    value: "port",
    text: "serves /healthz, /livez and /readyz, as 9808 or 127.0.0.1:9808; absent: nothing is served",
  },
  "log-level": { value: "level", choices: logLevels, text: "the least level that is logged; absent: info" },
  "log-format": { value: "format", choices: logFormats, text: "absent: pretty on a terminal, else json" },
} as const satisfies Record<string, Flag>;

/** Reads the arguments of `serve`. Throws a ConfigError that names the flag. */
export function parseServeFlags(args: readonly string[]): Flags {
  const entries = Object.entries<Flag>(serveFlags);
  const options = Object.fromEntries(
    entries.map(([name, flag]) => [
      name,
      flag.value === undefined || flag.optional
        ? ({ type: "boolean" } as const)
        : ({ type: "string", multiple: flag.repeated ?? false } as const),
    ]),
  );
  const { values, tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const seen = new Set<string>();
  for (const token of tokens) {
    if (token.kind === "positional")
      throw new ConfigError(`serve takes no argument '${token.value}'; its options start with --`);
    if (token.kind === "option-terminator") continue;
    const flag = entries.find(([name]) => name === token.name)?.[1];
    if (flag === undefined)
      throw new ConfigError(`${token.rawName}: unknown option${suggestion(token.name, Object.keys(serveFlags))}`);
    const name = `--${token.name}`;
    if (flag.value === undefined && token.value !== undefined) throw new ConfigError(`${name}: takes no value`);
    if (flag.value !== undefined && !flag.optional && token.value === undefined)
      throw new ConfigError(`${name}: needs a value: ${name} <${flag.value}>`);
    if (!flag.repeated && seen.has(token.name)) throw new ConfigError(`${name}: given twice; give it once`);
    seen.add(token.name);
  }
  return values as Flags;
}
