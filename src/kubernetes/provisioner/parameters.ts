/**
 * The parameters of a StorageClass: those that begin with `csi.storage.k8s.io/` are the provisioner's, all others the
 * driver's (Kubernetes CSI documentation, "StorageClass Secrets"; the same set as the upstream provisioner's).
 */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { fillTemplate } from "./template.ts";

const prefix = "csi.storage.k8s.io/";

/** Which call a secret is for, and how its parameters begin; the second pair of names is the old one. */
const purposes = {
  provisioner: "csiProvisioner",
  "controller-publish": "csiControllerPublish",
  "node-stage": "csiNodeStage",
  "node-publish": "csiNodePublish",
  "controller-expand": undefined,
  "node-expand": undefined,
  "controller-modify": undefined,
} as const;
export type Purpose = keyof typeof purposes;

export interface Secret {
  readonly name: string;
  readonly namespace: string;
}

export interface ClassParameters {
  /** Empty: the driver's choice. */
  readonly fsType: string;
  readonly secrets: Readonly<Partial<Record<Purpose, Secret>>>;
  readonly forDriver: Readonly<Record<string, string>>;
}

export class ParameterError extends Error {
  override readonly name = "ParameterError";
}

type Parameters = Readonly<Record<string, string>>;

/** `claim` and `volumeName` fill the templates of secret names. Throws a ParameterError that names the key. */
export function readParameters(
  parameters: Parameters,
  claim: Pick<PersistentVolumeClaim, "metadata">,
  volumeName: string,
  defaultFsType = "",
): ClassParameters {
  const secrets: Partial<Record<Purpose, Secret>> = {};
  const known = new Set([`${prefix}fstype`, ...pair(`${prefix}`)]);
  for (const purpose of Object.keys(purposes) as Purpose[]) {
    for (const key of pair(`${prefix}${purpose}-`)) known.add(key);
    const old = purposes[purpose];
    const template =
      secretTemplate(parameters, [`${prefix}${purpose}-`, ...(old ? [old] : [])]) ??
      secretTemplate(parameters, [prefix]);
    if (template) secrets[purpose] = fillSecret(template, claim, volumeName);
  }
  for (const key of Object.keys(parameters)) {
    if (key.startsWith(prefix) && !known.has(key)) {
      throw new ParameterError(`the StorageClass has the unknown parameter ${key}`);
    }
  }
  return { fsType: fsTypeOf(parameters) || defaultFsType, secrets, forDriver: driverParameters(parameters) };
}

/** Those of a class that are the driver's. */
export const driverParameters = (parameters: Parameters): Record<string, string> =>
  Object.fromEntries(Object.entries(parameters).filter(([key]) => !key.startsWith(prefix)));

const pair = (start: string): readonly [string, string] =>
  start.startsWith(prefix)
    ? [`${start}secret-name`, `${start}secret-namespace`]
    : [`${start}SecretName`, `${start}SecretNamespace`];

function fsTypeOf(parameters: Parameters): string {
  const keys = Object.keys(parameters).filter((key) => key === `${prefix}fstype` || key.toLowerCase() === "fstype");
  if (keys.length > 1) throw new ParameterError(`the StorageClass says the file system twice: ${keys.join(", ")}`);
  return parameters[keys[0] ?? ""] ?? "";
}

/** Name and namespace under one of the pairs of keys that begin so; undefined: neither is given. */
function secretTemplate(parameters: Parameters, starts: readonly string[]): Secret | undefined {
  const given = starts.map(pair).filter((keys) => keys.some((key) => parameters[key] !== undefined));
  const [keys, twice] = given;
  if (keys === undefined) return undefined;
  if (twice) throw new ParameterError(`the StorageClass names a secret twice: ${keys[0]}, ${twice[0]}`);
  const [name, namespace] = keys.map((key) => parameters[key]);
  if (!name || !namespace) throw new ParameterError(`the StorageClass needs both ${keys[0]} and ${keys[1]}`);
  return { name, namespace };
}

/** RFC 1123, as the API server wants names of namespaces and of most objects. */
const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const subdomain = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

function fillSecret(
  template: Secret,
  { metadata }: Pick<PersistentVolumeClaim, "metadata">,
  volumeName: string,
): Secret {
  // Who makes a claim chooses its name and annotations: they must not lead to another namespace's secrets.
  const safe: Record<string, string> = { "pv.name": volumeName, "pvc.namespace": metadata?.namespace ?? "" };
  const all: Record<string, string> = { ...safe, "pvc.name": metadata?.name ?? "" };
  for (const [key, value] of Object.entries(metadata?.annotations ?? {})) all[`pvc.annotations['${key}']`] = value;
  const name = fillTemplate(template.name, all);
  const namespace = fillTemplate(template.namespace, safe);
  if (!label.test(namespace)) throw new ParameterError(`"${template.namespace}" gives no namespace: "${namespace}"`);
  if (!subdomain.test(name)) throw new ParameterError(`"${template.name}" gives no name of a secret: "${name}"`);
  return { name, namespace };
}
