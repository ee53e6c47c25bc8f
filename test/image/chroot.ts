/** The image's root, run without a container engine: unpacked, read-only, in a mount namespace of its own. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { letGoOfOthers } from "../support/namespace.ts";
import { attempt, type Outcome, run } from "../support/run.ts";

const repository = join(import.meta.dirname, "../..");

export interface Built {
  readonly archive: string;
  readonly digest: string;
}

/** Builds it as `npm run image` does. */
export async function build(archive: string, ...args: string[]): Promise<Built> {
  const text = await run("sh", [join(repository, "scripts/image.sh"), "--output", archive, ...args], {
    // A test's own time: the commit's would change the digest while somebody works beside it.
    env: { SOURCE_DATE_EPOCH: "1700000000", NODE_OPTIONS: "" },
  });
  const digest = /^digest\s+(\S+)$/m.exec(text)?.[1];
  if (digest === undefined) throw new Error(`no digest in: ${text}`);
  return { archive, digest };
}

export interface Unpacked {
  readonly root: string;
  /** The configuration that the image carries. */
  readonly config: { readonly Labels: Record<string, string>; readonly Env: string[]; readonly Entrypoint: string[] };
}

/** Unpacks the layers in their order, as a runtime does. */
export async function unpack({ archive }: Built, folder: string): Promise<Unpacked> {
  const layout = join(folder, "layout");
  const root = join(folder, "root");
  for (const made of [layout, root]) mkdirSync(made, { recursive: true });
  await run("tar", ["-xf", archive, "-C", layout]);
  const index = json(layout, "index.json") as { manifests: { digest: string }[] };
  const manifest = json(layout, blob(index.manifests[0]?.digest)) as {
    config: { digest: string };
    layers: { digest: string }[];
  };
  for (const layer of manifest.layers) await run("tar", ["-xzpf", join(layout, blob(layer.digest)), "-C", root]);
  const { config } = json(layout, blob(manifest.config.digest)) as { config: Unpacked["config"] };
  return { root, config };
}

/** Runs a script of the image's own shell; `mounts` are folders of this machine, by their path in the image's root. */
export function inside(
  { root, config }: Unpacked,
  mounts: Readonly<Record<string, string>>,
  script: string,
): Promise<Outcome> {
  const steps = [
    letGoOfOthers(),
    `mount --bind "${root}" "${root}"`,
    ...Object.keys(mounts).map((path) => `mkdir -p "${root}${path}"`),
    `mount -o remount,bind,ro "${root}"`,
    `mount -t proc proc "${root}/proc"`,
    `mount --rbind /sys "${root}/sys"`,
    `mount --rbind /dev "${root}/dev"`,
    `mount -t tmpfs tmpfs "${root}/run"`,
    ...Object.entries(mounts).map(([path, from]) => `mount --bind "${from}" "${root}${path}"`),
    `exec env -i ${config.Env.join(" ")} chroot "${root}" /bin/sh -euc "$0"`,
  ];
  return attempt("unshare", ["--mount", "--propagation", "slave", "sh", "-euc", steps.join("\n"), script], {
    timeoutMs: 120_000,
  });
}

const blob = (digest = "") => join("blobs", digest.replace(":", "/"));

function json(folder: string, path: string): unknown {
  return JSON.parse(readFileSync(join(folder, path), "utf8"));
}
