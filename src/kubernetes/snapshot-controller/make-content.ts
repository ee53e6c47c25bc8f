/** The content of a new snapshot of a claim: what the snapshotter is to make. */
import { isAlreadyExists } from "../api/api-error.ts";
import { volumeSnapshotContents, volumeSnapshots } from "../api/resources.ts";
import type { VolumeSnapshot, VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { explain } from "../outcome.ts";
import { contentProtection, managedBy, secretName, secretNamespace } from "../snapshots/names.ts";
import { secretOf } from "../snapshots/parameters.ts";
import { tryAgain, Unfit } from "../snapshots/told.ts";
import { protectClaim } from "./claim-protection.ts";
import type { Controller } from "./context.ts";
import { contentNameFor, refOf, shown } from "./relations.ts";
import { claimOf, onlyNodeOf, volumeOf } from "./source.ts";

/** Makes it; one that is there already is given back. Throws an Unfit that says what is missing. */
export async function makeContent(controller: Controller, snapshot: VolumeSnapshot): Promise<VolumeSnapshotContent> {
  const { api, contents, events, log } = controller;
  // What is made for a snapshot that is gone would be cut, and stay for ever.
  const now = await api.get(volumeSnapshots, refOf(snapshot));
  if (now.metadata?.uid !== snapshot.metadata?.uid || now.metadata?.deletionTimestamp !== undefined) {
    throw tryAgain("it is being deleted");
  }
  let content: VolumeSnapshotContent;
  try {
    content = await describe(controller, snapshot);
  } catch (cause) {
    if (controller.signal.aborted) throw cause;
    const message = `Failed to create snapshot content: ${explain(cause)}`;
    throw new Unfit("SnapshotContentCreationFailed", message, true, { cause });
  }
  try {
    const made = await api.create(volumeSnapshotContents, content);
    contents.put(made);
    const fields = { snapshot: shown(snapshot), content: made.metadata?.name, volume: made.spec.source.volumeHandle };
    log.info({ ...fields, node: made.metadata?.labels?.[managedBy] }, "the snapshot has a content");
    const message = `Waiting for a snapshot ${shown(snapshot)} to be created by the CSI driver.`;
    events.normal(volumeSnapshots, snapshot, "CreatingSnapshot", message);
    return made;
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const there = await api.get(volumeSnapshotContents, { name: contentNameFor(snapshot) });
    contents.put(there);
    return there;
  }
}

async function describe(controller: Controller, snapshot: VolumeSnapshot): Promise<VolumeSnapshotContent> {
  const claim = claimOf(controller, snapshot);
  await protectClaim(controller, claim);
  const className = snapshot.spec.volumeSnapshotClassName ?? "";
  const named = controller.classes.get(className);
  if (named === undefined) throw new Error(`there is no VolumeSnapshotClass ${className}`);
  const volume = await volumeOf(controller, claim);
  const { driver, volumeHandle } = volume.spec.csi;
  if (named.driver !== driver) {
    throw new Error(`the class ${className} is for ${named.driver}, and the volume is ${driver}'s`);
  }
  const { name: snapshotName, namespace } = refOf(snapshot);
  const name = contentNameFor(snapshot);
  const names = { "volumesnapshotcontent.name": name, "volumesnapshot.namespace": namespace };
  const secret = secretOf("snapshotter", named.parameters, names, { "volumesnapshot.name": snapshotName });
  const node = await onlyNodeOf(controller, volume);
  const { uid, resourceVersion } = snapshot.metadata ?? {};
  return {
    metadata: {
      name,
      finalizers: [contentProtection],
      ...(node !== undefined && { labels: { [managedBy]: node } }),
      ...(secret && { annotations: { [secretName]: secret.name ?? "", [secretNamespace]: secret.namespace ?? "" } }),
    },
    spec: {
      deletionPolicy: named.deletionPolicy,
      driver,
      source: { volumeHandle },
      ...(volume.spec.volumeMode !== undefined && { sourceVolumeMode: volume.spec.volumeMode }),
      volumeSnapshotClassName: className,
      volumeSnapshotRef: {
        apiVersion: "snapshot.storage.k8s.io/v1",
        kind: "VolumeSnapshot",
        name: snapshotName,
        namespace,
        ...(uid !== undefined && { uid }),
        ...(resourceVersion !== undefined && { resourceVersion }),
      },
    },
  };
}
