/** The snapshot or volume whose content a claim asks for, and whether it may have it. */
import type { PersistentVolume, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { parseId } from "../../pools/ids.ts";
import { actsFor } from "../acts-for.ts";
import type { ApiClient } from "../api/client.ts";
import { claims, persistentVolumes, volumeSnapshotContents, volumeSnapshots } from "../api/resources.ts";
import type { VolumeSnapshot, VolumeSnapshotContent } from "../api/snapshot-types.ts";
import type { DriverFacts } from "../driver-facts.ts";
import { bytesOf } from "../quantity.ts";
import { managedBy } from "../snapshots/names.ts";
import { restoreFinalizer } from "./names.ts";
import type { Source } from "./plan.ts";

/** Who looks for it. */
export interface Seeker {
  readonly api: ApiClient;
  readonly driver: Pick<DriverFacts, "name" | "nodeInfo">;
  /** Absent: no node's. */
  readonly node?: string;
}

export type Asked =
  | { readonly kind: "snapshot" | "volume"; readonly name: string }
  /** Somebody else fills the volume. */
  | { readonly kind: "other"; readonly what: string };

export interface Found extends Source {
  /** The node that holds the source. Undefined: it does not tell, or it is not one node's. */
  readonly holder?: Holder;
  /** Of the VolumeSnapshot or claim. */
  readonly name: string;
}

export interface Holder {
  readonly here: boolean;
  /** Absent: its affinity does not name it. */
  readonly node?: string;
}

/** Undefined: the volume is to be empty. Throws for what no provisioner takes. */
export function askedOf({ spec }: PersistentVolumeClaim): Asked | undefined {
  const { dataSource, dataSourceRef } = spec ?? {};
  const source = dataSource ?? dataSourceRef;
  if (source === undefined) return undefined;
  if (dataSource === undefined && dataSourceRef?.namespace) {
    throw new Error(`a source in another namespace (${dataSourceRef.namespace}) is not supported`);
  }
  const { kind, name, apiGroup = "" } = source;
  if (!name) throw new Error("the claim's source has no name");
  if (kind === "VolumeSnapshot") {
    if (apiGroup === "snapshot.storage.k8s.io") return { kind: "snapshot", name };
    throw new Error(`a VolumeSnapshot is of the group snapshot.storage.k8s.io, not ${apiGroup}`);
  }
  if (kind === "PersistentVolumeClaim") return { kind: "volume", name };
  return { kind: "other", what: kind };
}

/** Read freshly from the API server. Throws with what the source lacks; it may come. */
export async function findSource(
  context: Seeker,
  claim: PersistentVolumeClaim,
  asked: Asked & { readonly name: string },
  allowModeChange: boolean,
): Promise<Found> {
  return asked.kind === "snapshot"
    ? findSnapshot(context, claim, asked.name, allowModeChange)
    : findVolume(context, claim, asked.name);
}

const namespaceOf = ({ metadata }: PersistentVolumeClaim): string => metadata?.namespace ?? "";
const sizeOf = ({ spec }: PersistentVolumeClaim): bigint => bytesOf(spec?.resources?.requests?.["storage"] ?? "0");

async function findSnapshot(
  context: Seeker,
  claim: PersistentVolumeClaim,
  name: string,
  allowModeChange: boolean,
): Promise<Found> {
  const { api, driver } = context;
  const snapshot = await api.find(volumeSnapshots, { name, namespace: namespaceOf(claim) });
  if (snapshot === undefined) throw new Error(`there is no snapshot ${name}`);
  const begun = snapshot.metadata?.finalizers?.includes(restoreFinalizer);
  if (snapshot.metadata?.deletionTimestamp && !begun) throw new Error(`the snapshot ${name} is being deleted`);
  const content = await contentOf(api, snapshot);
  if (content.spec.driver !== driver.name) {
    throw new Error(`the snapshot ${name} is of the driver ${content.spec.driver}, not ${driver.name}`);
  }
  if (snapshot.status?.readyToUse !== true) throw new Error(`the snapshot ${name} is not ready yet`);
  const id = content.status?.snapshotHandle;
  if (!id) throw new Error(`the snapshot ${name} has no handle yet`);
  const least = bytesOf(snapshot.status.restoreSize ?? "0");
  if (sizeOf(claim) < least) {
    throw new Error(`the claim asks for ${sizeOf(claim)} bytes, and the snapshot ${name} needs ${least}`);
  }
  if (!allowModeChange) checkMode(claim, content);
  const node = content.metadata?.labels?.[managedBy] ?? parseId(id)?.node;
  return {
    kind: "snapshot",
    id,
    name,
    ...(node !== undefined && { holder: { here: node === context.node, node } }),
  };
}

async function contentOf(api: ApiClient, { metadata, status }: VolumeSnapshot): Promise<VolumeSnapshotContent> {
  const bound = status?.boundVolumeSnapshotContentName;
  if (!bound) throw new Error(`the snapshot ${metadata?.name} is not bound to its content yet`);
  const content = await api.find(volumeSnapshotContents, { name: bound });
  if (content === undefined) throw new Error(`the snapshot ${metadata?.name} is bound to ${bound}, which is not there`);
  const { name, namespace, uid } = content.spec.volumeSnapshotRef;
  if (uid !== metadata?.uid || name !== metadata?.name || namespace !== metadata?.namespace) {
    throw new Error(`the content ${bound} of the snapshot ${metadata?.name} is bound to another snapshot`);
  }
  return content;
}

/** A file system's bytes as a raw volume, or the other way, could be an attack on the kernel that mounts them. */
function checkMode({ spec }: PersistentVolumeClaim, { metadata, spec: { sourceVolumeMode } }: VolumeSnapshotContent) {
  if (!sourceVolumeMode || !spec?.volumeMode || sourceVolumeMode === spec.volumeMode) return;
  const annotation = "snapshot.storage.kubernetes.io/allow-volume-mode-change";
  const allowed = metadata?.annotations?.[annotation] ?? "false";
  if (["1", "t", "true"].includes(allowed.toLowerCase())) return;
  throw new Error(
    `the claim is ${spec.volumeMode} and the snapshot ${sourceVolumeMode}, which the annotation ${annotation} of ${metadata?.name} does not allow`,
  );
}

async function findVolume(context: Seeker, claim: PersistentVolumeClaim, name: string): Promise<Found> {
  const { api, driver } = context;
  const namespace = namespaceOf(claim);
  const source = await api.find(claims, { name, namespace });
  if (source === undefined) throw new Error(`there is no claim ${name} to be cloned`);
  if (source.metadata?.deletionTimestamp) throw new Error(`the claim ${name}, which is to be cloned, is being deleted`);
  if (source.status?.phase !== "Bound" || !source.spec?.volumeName) {
    throw new Error(`the claim ${name}, which is to be cloned, is not bound yet`);
  }
  if (sizeOf(claim) < sizeOf(source)) {
    throw new Error(
      `the claim asks for ${sizeOf(claim)} bytes, and ${name}, which is to be cloned, has ${sizeOf(source)}`,
    );
  }
  const volume = await api.find(persistentVolumes, { name: source.spec.volumeName });
  const csi = volume?.spec?.csi;
  if (volume === undefined || csi === undefined || csi.driver !== driver.name) {
    throw new Error(`the claim ${name}, which is to be cloned, is not of the driver ${driver.name}`);
  }
  const { uid } = volume.spec?.claimRef ?? {};
  if (uid !== source.metadata?.uid || volume.status?.phase !== "Bound") {
    throw new Error(`the volume of ${name}, which is to be cloned, is not bound to it`);
  }
  const [ours, theirs] = [claim.spec?.volumeMode ?? "Filesystem", volume.spec?.volumeMode ?? "Filesystem"];
  if (ours !== theirs) throw new Error(`the claim is ${ours}, and ${name}, which is to be cloned, is ${theirs}`);
  const holder = holderOf(context, volume);
  return { kind: "volume", id: csi.volumeHandle, name, ...(holder && { holder }) };
}

/** Which node a volume is pinned to. */
function holderOf(context: Seeker, volume: PersistentVolume): Holder | undefined {
  if (context.node !== undefined && actsFor(context, volume)) return { here: true, node: context.node };
  const terms = volume.spec?.nodeAffinity?.required?.nodeSelectorTerms ?? [];
  const key = `${context.driver.name}/node`;
  const named = terms.flatMap(({ matchExpressions = [] }) => matchExpressions.find((each) => each.key === key)?.values);
  const node = named[0] ?? parseId(volume.spec?.csi?.volumeHandle ?? "")?.node;
  if (terms.length === 0 && node === undefined) return undefined;
  return { here: terms.length === 0 && node === context.node, ...(node !== undefined && { node }) };
}
