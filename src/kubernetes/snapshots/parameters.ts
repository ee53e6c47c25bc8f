/** What a snapshot class says: what is for the driver, and which secrets its calls get. */
import type { SecretRef } from "../secret-values.ts";

export type Parameters = Readonly<Record<string, string>>;

const reserved = "csi.storage.k8s.io/";

/** The secrets that a class can name, by the call that they are for. */
export type SecretUse = "snapshotter" | "snapshotter-list" | "group-snapshotter" | "group-snapshotter-get";

const keyOfName = (use: SecretUse) => `${reserved}${use}-secret-name`;
const keyOfNamespace = (use: SecretUse) => `${reserved}${use}-secret-namespace`;

const known = new Set(
  (["snapshotter", "snapshotter-list", "group-snapshotter", "group-snapshotter-get"] as const).flatMap((use) => [
    keyOfName(use),
    keyOfNamespace(use),
  ]),
);

/** Without what is meant for the helpers. Throws for a reserved key that none of them knows: a typing error must not pass. */
export function parametersForDriver(parameters: Parameters = {}): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [key, value] of Object.entries(parameters)) {
    if (!key.startsWith(reserved)) kept[key] = value;
    else if (!known.has(key)) throw new Error(`the class has the parameter ${key}: no such key is known`);
  }
  return kept;
}

/**
 * The secret that a class names for `use`, with its templates filled in; undefined: none. `names` are for both parts,
 * `userNames` for the secret's name alone: who may make snapshots must not choose the namespace by their names. Throws
 * what is wrong with the class.
 */
export function secretOf(
  use: SecretUse,
  parameters: Parameters = {},
  names: Parameters = {},
  userNames: Parameters = {},
): SecretRef | undefined {
  const name = parameters[keyOfName(use)];
  const namespace = parameters[keyOfNamespace(use)];
  if (name === undefined && namespace === undefined) return undefined;
  if (!name || !namespace) {
    throw new Error(`the class must give both ${keyOfName(use)} and ${keyOfNamespace(use)}, or none`);
  }
  return {
    namespace: checked("a namespace", fill(namespace, names), /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/),
    name: checked("a secret", fill(name, { ...names, ...userNames }), /^(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/),
  };
}

/** What a `$` may be followed by: a name, in braces or not. A hole in a secret's name would make it another's. */
function fill(template: string, values: Parameters): string {
  return template.replace(/\$(?:\{([^}]*)\}|(\w*))/g, (whole, braced: string | undefined, bare: string | undefined) => {
    const token = braced ?? bare ?? "";
    const value = Object.hasOwn(values, token) ? values[token] : undefined;
    if (value !== undefined) return value;
    const tokens = Object.keys(values).map((each) => `\${${each}}`);
    throw new Error(`"${template}" asks for ${whole}, which is not known here: ${tokens.join(", ")}`);
  });
}

function checked(what: string, name: string, shape: RegExp): string {
  if (shape.test(name)) return name;
  throw new Error(`"${name}" can't be the name of ${what}`);
}
