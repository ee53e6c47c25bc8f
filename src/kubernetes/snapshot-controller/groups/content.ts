/** The content of a group snapshot: found, bound, or made for the driver's snapshotter to fill. */
import { isAlreadyExists } from "../../api/api-error.ts";
import type { VolumeGroupSnapshot, VolumeGroupSnapshotContent } from "../../api/snapshot-types.ts";
import { explain } from "../../outcome.ts";
import {
  groupBoundProtection,
  groupContentProtection,
  groupSecretName,
  groupSecretNamespace,
  managedBy,
} from "../../snapshots/names.ts";
import { secretOf } from "../../snapshots/parameters.ts";
import { tryAgain, Unfit } from "../../snapshots/told.ts";
import { withFinalizers } from "../../snapshots/writer.ts";
import { refOf, shown } from "../relations.ts";
import { onlyNodeOf } from "../source.ts";
import type { GroupController } from "./context.ts";
import { volumesOf } from "./sources.ts";

/** The name of the content that is made for a group (external-snapshotter, pkg/utils). */
export const groupContentNameFor = ({ metadata }: VolumeGroupSnapshot): string => `groupsnapcontent-${metadata?.uid}`;

export function groupPointsBack({ spec }: VolumeGroupSnapshotContent, { metadata }: VolumeGroupSnapshot): boolean {
  const { name, namespace, uid } = spec.volumeGroupSnapshotRef;
  return name === metadata?.name && namespace === metadata?.namespace && uid === metadata?.uid;
}

/** Undefined: there is none yet. Throws an Unfit for one that is another's, or of the other kind. */
export function findGroupContent(
  { groups }: GroupController,
  group: VolumeGroupSnapshot,
): VolumeGroupSnapshotContent | undefined {
  const asked = group.spec.source.volumeGroupSnapshotContentName;
  const name = asked ?? groupContentNameFor(group);
  const content = groups.contents.get(name);
  if (content === undefined) return undefined;
  const existed = content.spec.source.groupSnapshotHandles !== undefined;
  if (existed !== (asked !== undefined)) {
    const what = existed ? "is for snapshots that existed before" : "was made for snapshots of claims";
    const message = `the VolumeGroupSnapshotContent ${name} ${what}, and the other is asked for`;
    throw new Unfit("GroupSnapshotContentMismatch", message);
  }
  const { name: of, namespace, uid } = content.spec.volumeGroupSnapshotRef;
  const { name: groupName, namespace: groupNamespace } = refOf(group);
  const unbound = existed && !uid && of === groupName && namespace === groupNamespace;
  if (unbound || groupPointsBack(content, group)) return content;
  const message = `the VolumeGroupSnapshotContent ${name} is bound to another group snapshot`;
  throw new Unfit("GroupSnapshotContentMisbound", message);
}

/** Binds a content for snapshots that existed before to the group that asks for it. Nothing is written when it is. */
export async function bindGroup(
  { api, groups, kinds }: GroupController,
  group: VolumeGroupSnapshot,
  content: VolumeGroupSnapshotContent,
): Promise<VolumeGroupSnapshotContent> {
  const className = group.spec.volumeGroupSnapshotClassName;
  const { volumeGroupSnapshotRef, volumeGroupSnapshotClassName } = content.spec;
  if (volumeGroupSnapshotRef.uid && (volumeGroupSnapshotClassName !== undefined || className === undefined))
    return content;
  const bound = await api.patch(
    kinds.contents,
    { name: content.metadata?.name ?? "" },
    {
      metadata: { uid: content.metadata?.uid, resourceVersion: content.metadata?.resourceVersion },
      spec: {
        volumeGroupSnapshotRef: { uid: group.metadata?.uid },
        ...(className !== undefined && { volumeGroupSnapshotClassName: className }),
      },
    },
  );
  groups.contents.put(bound);
  return bound;
}

/** Makes it; one that is there already is given back. The group is held from before. Throws an Unfit that says what is missing. */
export async function makeGroupContent(
  controller: GroupController,
  group: VolumeGroupSnapshot,
): Promise<VolumeGroupSnapshotContent> {
  const { api, events, groups, kinds, log } = controller;
  // What is made for a group that is gone would be cut, and stay for ever.
  const now = await api.get(kinds.snapshots, refOf(group));
  if (now.metadata?.uid !== group.metadata?.uid || now.metadata?.deletionTimestamp !== undefined) {
    throw tryAgain("it is being deleted");
  }
  let content: VolumeGroupSnapshotContent;
  try {
    content = await describe(controller, group);
  } catch (cause) {
    if (controller.signal.aborted) throw cause;
    const message = `Failed to create group snapshot content: ${explain(cause)}`;
    throw new Unfit("GroupSnapshotContentCreationFailed", message, true, { cause });
  }
  // From here on its end waits for the content's.
  await withFinalizers(controller, kinds.snapshots, groups.snapshots, group, groupBoundProtection);
  try {
    const made = await api.create(kinds.contents, content);
    groups.contents.put(made);
    log.info({ group: shown(group), content: made.metadata?.name }, "the group snapshot has a content");
    const message = `Waiting for a group snapshot ${shown(group)} to be created by the CSI driver.`;
    events.normal(kinds.snapshots, group, "CreatingGroupSnapshot", message);
    return made;
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const there = await api.get(kinds.contents, { name: groupContentNameFor(group) });
    groups.contents.put(there);
    return there;
  }
}

async function describe(controller: GroupController, group: VolumeGroupSnapshot): Promise<VolumeGroupSnapshotContent> {
  const className = group.spec.volumeGroupSnapshotClassName ?? "";
  const named = controller.groupClasses.get(className);
  if (named === undefined) throw new Error(`there is no VolumeGroupSnapshotClass ${className}`);
  const volumes = await volumesOf(controller, group);
  const nodes = new Set<string | undefined>();
  for (const volume of volumes) {
    const { driver } = volume.spec.csi;
    if (driver !== named.driver) {
      throw new Error(`the class ${className} is for ${named.driver}, and ${volume.metadata?.name} is ${driver}'s`);
    }
    nodes.add(await onlyNodeOf(controller, volume));
  }
  const [node] = nodes.size === 1 ? nodes : [];
  const { name: groupName, namespace } = refOf(group);
  const name = groupContentNameFor(group);
  const names = { "volumegroupsnapshotcontent.name": name, "volumegroupsnapshot.namespace": namespace };
  const userNames = { "volumegroupsnapshot.name": groupName };
  const secret = secretOf("group-snapshotter", named.parameters, names, userNames);
  const { uid, resourceVersion } = group.metadata ?? {};
  return {
    metadata: {
      name,
      finalizers: [groupContentProtection],
      ...(node !== undefined && { labels: { [managedBy]: node } }),
      ...(secret && {
        annotations: { [groupSecretName]: secret.name ?? "", [groupSecretNamespace]: secret.namespace ?? "" },
      }),
    },
    spec: {
      deletionPolicy: named.deletionPolicy,
      driver: named.driver,
      source: { volumeHandles: volumes.map(({ spec }) => spec.csi.volumeHandle) },
      volumeGroupSnapshotClassName: className,
      volumeGroupSnapshotRef: {
        apiVersion: `${controller.kinds.snapshots.group}/${controller.kinds.snapshots.version}`,
        kind: "VolumeGroupSnapshot",
        name: groupName,
        namespace,
        ...(uid !== undefined && { uid }),
        ...(resourceVersion !== undefined && { resourceVersion }),
      },
    },
  };
}
