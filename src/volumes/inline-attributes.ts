/** What a pod says of its inline volume: `volumeAttributes`, with what the kubelet adds about the pod. docs/reference/parameters.md lists them. */
import { Problem } from "../pools/problem.ts";
import { parameterKeys } from "./parameters.ts";
import { parseSize } from "./size-words.ts";

export interface Inline {
  /** Bytes; absent: the default size. */
  readonly size?: number;
  /** As a StorageClass has them. */
  readonly parameters: Readonly<Record<string, string>>;
  /** `namespace/name`; empty where nobody said. */
  readonly pod: string;
}

/** Kubernetes' own keys: about the pod, its account, perhaps with tokens. */
const ours = "csi.storage.k8s.io/";
const known = ["size", ...parameterKeys];

/** Whether a publish is of an ephemeral volume: the kubelet says so where the CSIDriver object has podInfoOnMount. */
export function isEphemeral(context: Readonly<Record<string, string>>): boolean {
  return context[`${ours}ephemeral`] === "true";
}

/** Throws PARAMETER_UNKNOWN for an unknown key or a bad size; the rest is checked as a StorageClass's parameters are. */
export function readInline(context: Readonly<Record<string, string>>): Inline {
  const parameters: Record<string, string> = {};
  for (const [key, value] of Object.entries(context)) {
    if (key.startsWith(ours) || key === "size") continue;
    if (!known.includes(key)) {
      const name = key.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 60);
      throw new Problem("PARAMETER_UNKNOWN", `there is no attribute '${name}': known are ${known.join(", ")}`);
    }
    parameters[key] = value;
  }
  const [namespace = "", name = ""] = [context[`${ours}pod.namespace`], context[`${ours}pod.name`]];
  const size = sizeOf(context["size"]);
  return { parameters, pod: name === "" ? "" : `${namespace}/${name}`, ...(size === undefined ? {} : { size }) };
}

function sizeOf(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  try {
    return parseSize(text);
  } catch (error) {
    throw new Problem("PARAMETER_UNKNOWN", `size: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
