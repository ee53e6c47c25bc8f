/** Who belongs to whom among snapshots, contents and groups. */
import { type ApiObject, apiVersionOf, type Resource } from "../api/resources.ts";
import type { VolumeSnapshot, VolumeSnapshotContent } from "../api/snapshot-types.ts";

export const refOf = ({ metadata }: ApiObject): { readonly name: string; readonly namespace: string } => ({
  name: metadata?.name ?? "",
  namespace: metadata?.namespace ?? "",
});

/** `namespace/name`, for people. */
export const shown = (object: ApiObject): string => `${refOf(object).namespace}/${refOf(object).name}`;

/** Whether the content is this very snapshot's, and no namesake's. */
export function pointsBack({ spec }: VolumeSnapshotContent, { metadata }: VolumeSnapshot): boolean {
  const { name, namespace, uid } = spec.volumeSnapshotRef;
  return name === metadata?.name && namespace === metadata?.namespace && uid === metadata?.uid;
}

/** The name of the content that is made for a snapshot (external-snapshotter, pkg/utils). */
export const contentNameFor = ({ metadata }: VolumeSnapshot): string => `snapcontent-${metadata?.uid}`;

/** The group snapshot that made it; undefined: it stands for itself. */
export function groupOf({ metadata }: VolumeSnapshot): string | undefined {
  const owner = metadata?.ownerReferences?.find(
    ({ kind, apiVersion }) => kind === "VolumeGroupSnapshot" && apiVersion.startsWith("groupsnapshot.storage.k8s.io/"),
  );
  return owner?.name;
}

export const isMember = (snapshot: VolumeSnapshot): boolean => groupOf(snapshot) !== undefined;

export const isReady = ({ status }: VolumeSnapshot): boolean => status?.readyToUse === true;

export const boundContentOf = ({ status }: VolumeSnapshot): string | undefined =>
  status?.boundVolumeSnapshotContentName || undefined;

/** What makes a snapshot a part of a group. `kind` is that of the groups. */
export const ownerOf = (kind: Resource<ApiObject>, name: string, uid: string) => ({
  apiVersion: apiVersionOf(kind),
  kind: "VolumeGroupSnapshot",
  name,
  uid,
});
