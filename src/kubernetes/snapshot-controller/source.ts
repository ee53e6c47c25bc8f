/** The volume that a snapshot is to be of. */
import type { PersistentVolume, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { nodes, persistentVolumes } from "../api/resources.ts";
import type { VolumeSnapshot } from "../api/snapshot-types.ts";
import type { Controller } from "./context.ts";

/** The volume of a claim, if it has one and the two agree. Throws what is missing. */
export async function volumeOf(
  { api }: Pick<Controller, "api">,
  claim: PersistentVolumeClaim,
): Promise<PersistentVolume & { spec: { csi: { driver: string; volumeHandle: string } } }> {
  const { name, namespace, uid } = claim.metadata ?? {};
  const volumeName = claim.spec?.volumeName;
  if (claim.status?.phase !== "Bound" || !volumeName) {
    throw new Error(`the claim ${name} is ${claim.status?.phase ?? "new"}: it must be bound to a volume first`);
  }
  const volume = await api.find(persistentVolumes, { name: volumeName });
  if (volume === undefined) throw new Error(`the volume ${volumeName} of the claim ${name} does not exist`);
  const of = volume.spec?.claimRef;
  if (of?.name !== name || of?.namespace !== namespace || (of?.uid && of.uid !== uid)) {
    throw new Error(`the volume ${volumeName} is bound to another claim than ${name}`);
  }
  const csi = volume.spec?.csi;
  if (csi === undefined) throw new Error(`the volume ${volumeName} of the claim ${name} is not a CSI volume`);
  return { ...volume, spec: { ...volume.spec, csi } };
}

/** The claim that a snapshot names. Throws when there is none. */
export function claimOf({ claims }: Controller, { metadata, spec }: VolumeSnapshot): PersistentVolumeClaim {
  const name = spec.source.persistentVolumeClaimName ?? "";
  const claim = claims.get(name, metadata?.namespace);
  if (claim === undefined) throw new Error(`the claim ${name} does not exist`);
  return claim;
}

/**
 * The one node that a volume's affinity allows; undefined: several, or none, or it is said in a way that no label selector can say. Each
 * node then serves the snapshots of its own volumes; a volume of several nodes must have its driver in one place.
 */
export async function onlyNodeOf(
  { api }: Pick<Controller, "api">,
  volume: PersistentVolume,
): Promise<string | undefined> {
  const terms = volume.spec?.nodeAffinity?.required?.nodeSelectorTerms ?? [];
  const found = new Set<string>();
  for (const { matchExpressions, matchFields } of terms) {
    const parts = (matchExpressions ?? []).map(({ key, operator, values = [] }) => {
      if (operator === "In") return `${key} in (${values.join(",")})`;
      if (operator === "NotIn") return `${key} notin (${values.join(",")})`;
      if (operator === "Exists") return key;
      return operator === "DoesNotExist" ? `!${key}` : undefined;
    });
    if (parts.length === 0 || parts.includes(undefined) || matchFields?.length) return undefined;
    for (const { metadata } of await api.list(nodes, { labelSelector: parts.join(","), metadataOnly: true })) {
      if (metadata?.name !== undefined) found.add(metadata.name);
    }
  }
  return found.size === 1 ? [...found][0] : undefined;
}
