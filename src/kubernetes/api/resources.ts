/**
 * The kinds of objects that the helpers read and write, each with its place in the API. The types are those of the
 * package kubernetes-types; the snapshot kinds, which are custom resources, have theirs in snapshot-types.ts.
 */
import type { Lease } from "kubernetes-types/coordination/v1.js";
import type { Event, Node, PersistentVolume, PersistentVolumeClaim, Pod, Secret } from "kubernetes-types/core/v1.js";
import type { ObjectMeta } from "kubernetes-types/meta/v1.js";
import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  StorageClass,
  VolumeAttachment,
} from "kubernetes-types/storage/v1.js";
import type {
  VolumeGroupSnapshot,
  VolumeGroupSnapshotClass,
  VolumeGroupSnapshotContent,
  VolumeSnapshot,
  VolumeSnapshotClass,
  VolumeSnapshotContent,
} from "./snapshot-types.ts";

/** What every object has. */
export interface ApiObject {
  readonly metadata?: ObjectMeta;
}

/** A kind of object and where the API server keeps it. */
export interface Resource<T extends ApiObject> {
  /** The API group; empty for the core group. */
  readonly group: string;
  readonly version: string;
  /** As in the path: `persistentvolumes`. */
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Never set: it ties the type of the objects to their resource. */
  readonly objects?: T;
}

/** Parameters of a class for volumes that exist, set by a claim (storage.k8s.io/v1 from Kubernetes 1.34 on). */
export interface VolumeAttributesClass extends ApiObject {
  readonly driverName: string;
  readonly parameters?: Readonly<Record<string, string>>;
}

const clusterWide = <T extends ApiObject>(
  group: string,
  version: string,
  plural: string,
  kind: string,
): Resource<T> => ({ group, version, plural, kind, namespaced: false });

const inNamespaces = <T extends ApiObject>(
  group: string,
  version: string,
  plural: string,
  kind: string,
): Resource<T> => ({ group, version, plural, kind, namespaced: true });

export const persistentVolumes = clusterWide<PersistentVolume>("", "v1", "persistentvolumes", "PersistentVolume");
export const claims = inNamespaces<PersistentVolumeClaim>("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim");
export const nodes = clusterWide<Node>("", "v1", "nodes", "Node");
export const pods = inNamespaces<Pod>("", "v1", "pods", "Pod");
export const secrets = inNamespaces<Secret>("", "v1", "secrets", "Secret");
export const events = inNamespaces<Event>("", "v1", "events", "Event");
export const leases = inNamespaces<Lease>("coordination.k8s.io", "v1", "leases", "Lease");

const storage = "storage.k8s.io";
export const storageClasses = clusterWide<StorageClass>(storage, "v1", "storageclasses", "StorageClass");
export const csiNodes = clusterWide<CSINode>(storage, "v1", "csinodes", "CSINode");
export const csiDrivers = clusterWide<CSIDriver>(storage, "v1", "csidrivers", "CSIDriver");
export const volumeAttachments = clusterWide<VolumeAttachment>(storage, "v1", "volumeattachments", "VolumeAttachment");
export const storageCapacities = inNamespaces<CSIStorageCapacity>(
  storage,
  "v1",
  "csistoragecapacities",
  "CSIStorageCapacity",
);
export const volumeAttributesClasses = clusterWide<VolumeAttributesClass>(
  storage,
  "v1",
  "volumeattributesclasses",
  "VolumeAttributesClass",
);

const snapshot = "snapshot.storage.k8s.io";
export const volumeSnapshots = inNamespaces<VolumeSnapshot>(snapshot, "v1", "volumesnapshots", "VolumeSnapshot");
export const volumeSnapshotContents = clusterWide<VolumeSnapshotContent>(
  snapshot,
  "v1",
  "volumesnapshotcontents",
  "VolumeSnapshotContent",
);
export const volumeSnapshotClasses = clusterWide<VolumeSnapshotClass>(
  snapshot,
  "v1",
  "volumesnapshotclasses",
  "VolumeSnapshotClass",
);

const groupSnapshot = "groupsnapshot.storage.k8s.io";
export const volumeGroupSnapshots = inNamespaces<VolumeGroupSnapshot>(
  groupSnapshot,
  "v1beta2",
  "volumegroupsnapshots",
  "VolumeGroupSnapshot",
);
export const volumeGroupSnapshotContents = clusterWide<VolumeGroupSnapshotContent>(
  groupSnapshot,
  "v1beta2",
  "volumegroupsnapshotcontents",
  "VolumeGroupSnapshotContent",
);
export const volumeGroupSnapshotClasses = clusterWide<VolumeGroupSnapshotClass>(
  groupSnapshot,
  "v1beta2",
  "volumegroupsnapshotclasses",
  "VolumeGroupSnapshotClass",
);

/** `v1`, or `storage.k8s.io/v1`. */
export const apiVersionOf = (resource: Resource<ApiObject>): string =>
  resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;

/** The path of a collection (no name) or an object; without a namespace, of the objects in all of them. */
export function pathOf(resource: Resource<ApiObject>, namespace?: string, name?: string, subresource?: string): string {
  const parts = [resource.group === "" ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`];
  if (resource.namespaced && namespace !== undefined) parts.push("namespaces", encodeURIComponent(namespace));
  parts.push(resource.plural);
  if (name !== undefined) parts.push(encodeURIComponent(name));
  if (subresource !== undefined) parts.push(subresource);
  return parts.join("/");
}
