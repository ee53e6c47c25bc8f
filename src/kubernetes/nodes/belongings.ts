/** What the cluster has that lives on one node's disks. */
import type { Node, PersistentVolume, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { parseId } from "../../pools/ids.ts";
import { isNotFound } from "../api/api-error.ts";
import type { ApiClient } from "../api/client.ts";
import { claims, nodes, persistentVolumes, volumeSnapshotContents } from "../api/resources.ts";
import type { VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { managedBy } from "../snapshots/names.ts";

export interface Belongings {
  readonly volumes: readonly PersistentVolume[];
  /** Bound to one of the volumes. */
  readonly claims: readonly PersistentVolumeClaim[];
  readonly contents: readonly VolumeSnapshotContent[];
}

/** The topology key of a local driver's volumes. */
export const nodeKeyOf = (driver: string): string => `${driver}/node`;

/** The one node of a local volume, by its affinity; undefined where it is not bound to one of this driver's nodes. */
export function nodeOf(volume: PersistentVolume, driver: string): string | undefined {
  if (volume.spec?.csi?.driver !== driver) return undefined;
  for (const term of volume.spec.nodeAffinity?.required?.nodeSelectorTerms ?? []) {
    for (const { key, operator, values } of term.matchExpressions ?? []) {
      if (key === nodeKeyOf(driver) && operator === "In" && values?.length === 1) return values[0];
    }
  }
  return undefined;
}

/** The node whose disk holds the snapshot: its handle's, or the source's; a label says who acts. */
function nodeOfContent(content: VolumeSnapshotContent): string | undefined {
  const handle =
    content.status?.snapshotHandle ?? content.spec.source.snapshotHandle ?? content.spec.source.volumeHandle ?? "";
  return content.metadata?.labels?.[managedBy] ?? parseId(handle)?.node;
}

export async function belongingsOf(api: ApiClient, driver: string, node: string): Promise<Belongings> {
  const volumes = (await api.list(persistentVolumes)).filter((volume) => nodeOf(volume, driver) === node);
  const names = new Set(volumes.map(({ metadata }) => metadata?.name));
  const bound = (await api.list(claims)).filter(({ spec }) => names.has(spec?.volumeName));
  const contents = (await contentsIn(api)).filter(
    (content) => content.spec.driver === driver && nodeOfContent(content) === node,
  );
  return { volumes, claims: bound, contents };
}

/** None in a cluster that has no snapshots. */
async function contentsIn(api: ApiClient): Promise<VolumeSnapshotContent[]> {
  try {
    return await api.list(volumeSnapshotContents);
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

export class NodeLivesError extends Error {
  override readonly name = "NodeLivesError";
}

/** Throws a NodeLivesError when the cluster has a Ready node of this name. */
export async function refuseLiving(api: ApiClient, name: string): Promise<Node | undefined> {
  const node = await api.find(nodes, { name });
  const ready = node?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
  if (ready)
    throw new NodeLivesError(`node ${name} is Ready: what is on its disks is not lost; drain it and delete it first`);
  return node;
}
