/**
 * Writes deploy/manifests: the chart as plain YAML for `kubectl apply -f`. Run by `npm run generate`; a test holds them current.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
export const folder = join(import.meta.dirname, "manifests");

interface Manifest {
  readonly about: string;
  /** For Helm's `--set-json`. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Which templates; absent: all but the snapshot classes, which a cluster without their definitions refuses. */
  readonly only?: RegExp;
}

const shared = [{ name: "default", backend: "image", path: "/mnt/holdfast", shared: true }];

const manifests: Readonly<Record<string, Manifest>> = {
  "local.yaml": { about: "Local pools: each node serves the disk that is mounted at /srv/holdfast.", values: {} },
  "local-upstream.yaml": {
    about: "Local pools with the Kubernetes project's sidecars. The disk of each node is mounted at /srv/holdfast.",
    values: { sidecars: "upstream" },
  },
  "shared.yaml": {
    about: "A shared pool: every node has the same file system, as NFS or CephFS, at /mnt/holdfast.",
    values: { pools: shared },
  },
  "snapshot-class.yaml": {
    about: "The VolumeSnapshotClass of local pools, for clusters with the snapshot definitions.",
    values: {},
    only: /\/snapshotclasses\.yaml$/,
  },
};

/** The texts by their names. */
export function rendered(): Map<string, string> {
  return new Map(Object.entries(manifests).map(([name, manifest]) => [name, render(manifest)]));
}

function render({ about, values, only }: Manifest): string {
  const sets = Object.entries({ ...values, "snapshots.enabled": true }).flatMap(([key, value]) => [
    "--set-json",
    `${key}=${JSON.stringify(value)}`,
  ]);
  const args = ["template", "holdfast", join(root, "deploy/chart"), "--namespace=holdfast", ...sets];
  const text = execFileSync("sh", [join(root, "scripts/helm.sh"), ...args], { encoding: "utf8" });
  const parts = text.split(/^---\n/m).flatMap((part) => {
    const source = /^# Source: (.*)\n/.exec(part)?.[1];
    if (source === undefined) return [];
    const wanted = only ? only.test(source) : !source.endsWith("/snapshotclasses.yaml");
    return wanted ? [withoutHelm(part)] : [];
  });
  const namespace = only ? [] : [namespaceText];
  return [`# Made from deploy/chart by npm run generate. ${about}\n`, ...namespace, ...parts].join("---\n");
}

/** Nobody but Helm may take these objects for Helm's. */
const withoutHelm = (text: string) =>
  text
    .replace(/^# Source: .*\n/, "")
    .replaceAll(/^ +(app\.kubernetes\.io\/managed-by|helm\.sh\/chart): .*\n/gm, "")
    .replace(/\n*$/, "\n");

/** The driver's pods are privileged. */
const namespaceText = `apiVersion: v1
kind: Namespace
metadata:
  name: holdfast
  labels:
    pod-security.kubernetes.io/enforce: privileged
`;

if (import.meta.main) {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of rendered()) writeFileSync(join(folder, name), text);
}
