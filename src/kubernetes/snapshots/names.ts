/**
 * The words by which snapshot-controller and snapshotter speak to each other on the objects: facts of the protocol of
 * external-snapshotter 8 (pkg/utils/util.go), which an upstream partner must find unchanged.
 */

const snapshot = "snapshot.storage.kubernetes.io";
const group = "groupsnapshot.storage.kubernetes.io";

/** Label of contents: the node that serves it, where each node serves its own. */
export const managedBy = `${snapshot}/managed-by`;

/** A create was sent and has no final answer yet: only repeating it tells, and until then the content must not go. */
export const beingCreated = `${snapshot}/volumesnapshot-being-created`;
/** The snapshot-controller has seen that the snapshot is being deleted: by the content's policy, the storage may go. */
export const beingDeleted = `${snapshot}/volumesnapshot-being-deleted`;
export const groupBeingCreated = `${group}/volumegroupsnapshot-being-created`;
export const groupBeingDeleted = `${group}/volumegroupsnapshot-being-deleted`;

/** On contents: the secret for every call about it. */
export const secretName = `${snapshot}/deletion-secret-name`;
export const secretNamespace = `${snapshot}/deletion-secret-namespace`;
export const groupSecretName = `${group}/deletion-secret-name`;
export const groupSecretNamespace = `${group}/deletion-secret-namespace`;

/** On the content of a group's member: the group made it, nobody else may. */
export const memberOfGroup = "groupsnapshot.storage.k8s.io/volumeGroupSnapshotHandle";

/** On classes, "true": the one for snapshots that name none. */
export const isDefaultClass = `${snapshot}/is-default-class`;
export const isDefaultGroupClass = `${group}/is-default-class`;

/** Finalizers. */
export const contentProtection = `${snapshot}/volumesnapshotcontent-bound-protection`;
export const boundProtection = `${snapshot}/volumesnapshot-bound-protection`;
export const asSourceProtection = `${snapshot}/volumesnapshot-as-source-protection`;
export const inGroupProtection = `${snapshot}/volumesnapshot-in-group-protection`;
export const claimProtection = `${snapshot}/pvc-as-source-protection`;
export const groupContentProtection = `${group}/volumegroupsnapshotcontent-bound-protection`;
export const groupBoundProtection = `${group}/volumegroupsnapshot-bound-protection`;
