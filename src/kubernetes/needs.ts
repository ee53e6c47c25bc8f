/** What the helpers ask of the API server, by role: what the chart's roles grant, and what doctor asks for. */

/** One kind of objects, and what is done with them. */
export interface Need {
  readonly group: string;
  /** As in a role: `persistentvolumeclaims/status`. */
  readonly resource: string;
  readonly verbs: readonly string[];
  /** Only in the chart's own namespace. */
  readonly inNamespace?: true;
  /** Only where the cluster has the snapshot kinds. */
  readonly snapshots?: true;
}

const read = ["get", "list", "watch"];
const change = [...read, "patch"];
const storage = "storage.k8s.io";
const snapshot = "snapshot.storage.k8s.io";

const events: Need = { group: "", resource: "events", verbs: ["create", "patch"] };
const leases: Need = {
  group: "coordination.k8s.io",
  resource: "leases",
  verbs: ["get", "create", "update"],
  inNamespace: true,
};
/** Making, growing, cutting and deleting volumes: a node for its own, or the controller of shared pools for all. */
const volumes: readonly Need[] = [
  { group: "", resource: "persistentvolumes", verbs: [...change, "create", "delete"] },
  { group: "", resource: "persistentvolumeclaims", verbs: change },
  { group: "", resource: "persistentvolumeclaims/status", verbs: ["patch"] },
  { group: storage, resource: "storageclasses", verbs: read },
  { group: storage, resource: "volumeattributesclasses", verbs: read },
  { group: snapshot, resource: "volumesnapshots", verbs: change, snapshots: true },
  { group: snapshot, resource: "volumesnapshotclasses", verbs: read, snapshots: true },
  { group: snapshot, resource: "volumesnapshotcontents", verbs: change, snapshots: true },
  { group: snapshot, resource: "volumesnapshotcontents/status", verbs: ["patch"], snapshots: true },
  events,
];

/** `shared`: whether the pools are. Nodes of shared pools stage and publish, and ask nothing. */
export function needsOf(role: "node" | "controller", shared: boolean): readonly Need[] {
  if (role === "node") {
    if (shared) return [];
    return [
      ...volumes,
      { group: "", resource: "nodes", verbs: ["get"] },
      { group: storage, resource: "csinodes", verbs: ["get"] },
      { group: storage, resource: "csistoragecapacities", verbs: [...change, "create", "delete"], inNamespace: true },
    ];
  }
  if (shared) {
    return [
      ...volumes,
      leases,
      { group: "", resource: "nodes", verbs: read },
      { group: storage, resource: "csinodes", verbs: read },
      { group: storage, resource: "volumeattachments", verbs: change },
      { group: storage, resource: "volumeattachments/status", verbs: ["patch"] },
    ];
  }
  return [
    { group: "", resource: "persistentvolumeclaims", verbs: change },
    { group: "", resource: "persistentvolumes", verbs: read },
    { group: "", resource: "nodes", verbs: read },
    { group: storage, resource: "storageclasses", verbs: read },
    { group: storage, resource: "csinodes", verbs: read },
    { group: storage, resource: "csistoragecapacities", verbs: read },
    { group: snapshot, resource: "volumesnapshots", verbs: read, snapshots: true },
    { group: snapshot, resource: "volumesnapshotclasses", verbs: read, snapshots: true },
    { group: snapshot, resource: "volumesnapshotcontents", verbs: change, snapshots: true },
    { group: "groupsnapshot.storage.k8s.io", resource: "volumegroupsnapshotcontents", verbs: change, snapshots: true },
    leases,
    events,
  ];
}
