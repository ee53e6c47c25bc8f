/** Contents of group snapshots: several volumes cut at one moment, for drivers that can. */
import type { VolumeGroupSnapshot as CsiGroup } from "../../csi/gen/csi_pb.ts";
import type { Informer } from "../api/informer.ts";
import type { VolumeGroupSnapshotClass, VolumeGroupSnapshotContent } from "../api/snapshot-types.ts";
import { mayStillRun } from "../outcome.ts";
import type { GroupKinds } from "../snapshots/kinds.ts";
import {
  groupBeingCreated,
  groupContentProtection,
  groupSecretName,
  groupSecretNamespace,
} from "../snapshots/names.ts";
import { parametersForDriver, secretOf } from "../snapshots/parameters.ts";
import { timestamp } from "../snapshots/told.ts";
import { annotate, changeStatus, withoutFinalizers } from "../snapshots/writer.ts";
import { attempt, attemptRemoval, unlessGone } from "./attempt.ts";
import type { Snapshotter } from "./context.ts";
import { notedSecrets, readSecret } from "./cut.ts";
import { nextGroupStep } from "./group-next-step.ts";
import { exactly, nanosecondsOf, told } from "./told.ts";

export interface GroupSnapshotter extends Snapshotter {
  readonly kinds: GroupKinds;
  readonly groupContents: Informer<VolumeGroupSnapshotContent>;
  readonly groupClasses: Informer<VolumeGroupSnapshotClass>;
}

const cutting = { reason: "GroupSnapshotCreationFailed", what: "Failed to create group snapshot" };
const looking = { reason: "GroupSnapshotContentCheckandUpdateFailed", what: "Failed to find the group snapshot" };
const deleting = { reason: "GroupSnapshotDeleteError", what: "Failed to delete group snapshot" };

/** What each line about a group's content carries. */
export const groupSubjectOf = ({ metadata, spec }: VolumeGroupSnapshotContent): object => ({
  group: `${spec.volumeGroupSnapshotRef.namespace}/${spec.volumeGroupSnapshotRef.name}`,
  content: metadata?.name,
});

/** As `serveContent`. */
export async function serveGroupContent(snapshotter: GroupSnapshotter, name: string): Promise<number | undefined> {
  const kind = { resource: snapshotter.kinds.contents, informer: snapshotter.groupContents };
  const content = kind.informer.get(name);
  const className = content?.spec.volumeGroupSnapshotClassName;
  const named = className === undefined ? undefined : snapshotter.groupClasses.get(className);
  if (content === undefined || (named !== undefined && named.driver !== snapshotter.driver.name)) return undefined;
  switch (nextGroupStep(content)) {
    case "cut":
      return attempt(snapshotter, kind, content, () => cut(snapshotter, content), cutting);
    case "look":
      return attempt(snapshotter, kind, content, () => look(snapshotter, content), looking);
    case "delete":
      await attemptRemoval(snapshotter, kind, content, () => remove(snapshotter, content), deleting);
      return undefined;
    case "release":
      await unlessGone(release(snapshotter, content));
      return undefined;
    case "settle":
      await unlessGone(mark(snapshotter, content, null));
      return undefined;
    case "nothing":
      return undefined;
  }
}

const mark = (snapshotter: GroupSnapshotter, content: VolumeGroupSnapshotContent, value: "yes" | null) =>
  annotate(snapshotter, snapshotter.kinds.contents, snapshotter.groupContents, content, groupBeingCreated, value);

const secretsOf = ({ api }: GroupSnapshotter, content: VolumeGroupSnapshotContent) =>
  notedSecrets(api, content, groupSecretName, groupSecretNamespace);

function classOf({ groupClasses }: GroupSnapshotter, { spec }: VolumeGroupSnapshotContent): VolumeGroupSnapshotClass {
  const name = spec.volumeGroupSnapshotClassName;
  if (name === undefined) throw new Error("the content names no VolumeGroupSnapshotClass");
  const found = groupClasses.get(name);
  if (found === undefined) throw new Error(`there is no VolumeGroupSnapshotClass ${name}`);
  return found;
}

async function cut(
  snapshotter: GroupSnapshotter,
  given: VolumeGroupSnapshotContent,
): Promise<VolumeGroupSnapshotContent> {
  const { csi, log, timeoutMs, signal, options } = snapshotter;
  const { uid } = given.spec.volumeGroupSnapshotRef;
  if (!uid) throw new Error("the content is not bound to a VolumeGroupSnapshot");
  const parameters = parametersForDriver(classOf(snapshotter, given).parameters);
  if (options.extraCreateMetadata) Object.assign(parameters, metadataOf(given));
  const secrets = await secretsOf(snapshotter, given);
  const content = await mark(snapshotter, given, "yes");
  const request = {
    name: `${options.groupNamePrefix ?? "groupsnapshot"}-${uid}`,
    sourceVolumeIds: [...(content.spec.source.volumeHandles ?? [])],
    parameters,
    secrets,
  };
  let group: CsiGroup;
  try {
    group = await told(
      log,
      groupSubjectOf(content),
      "CreateVolumeGroupSnapshot",
      "the driver has the group snapshot",
      async () =>
        whole((await csi.groupController.createVolumeGroupSnapshot(request, { timeoutMs, signal })).groupSnapshot),
      ({ groupSnapshotId, readyToUse }) => ({ handle: groupSnapshotId, ready: readyToUse }),
    );
  } catch (error) {
    if (!mayStillRun(error)) await mark(snapshotter, content, null);
    throw error;
  }
  return mark(snapshotter, await write(snapshotter, content, group), null);
}

async function look(
  snapshotter: GroupSnapshotter,
  content: VolumeGroupSnapshotContent,
): Promise<VolumeGroupSnapshotContent> {
  const { csi, log, timeoutMs, signal, api } = snapshotter;
  const { volumeGroupSnapshotHandle: groupSnapshotId = "", volumeSnapshotHandles = [] } =
    content.spec.source.groupSnapshotHandles ?? {};
  let secrets: Record<string, string> = {};
  if (content.spec.volumeGroupSnapshotClassName !== undefined) {
    const names = { "volumegroupsnapshotcontent.name": content.metadata?.name ?? "" };
    secrets = await readSecret(api, secretOf("group-snapshotter-get", classOf(snapshotter, content).parameters, names));
  }
  const request = { groupSnapshotId, snapshotIds: [...volumeSnapshotHandles], secrets };
  const group = await told(
    log,
    groupSubjectOf(content),
    "GetVolumeGroupSnapshot",
    "the driver knows the group snapshot",
    async () => whole((await csi.groupController.getVolumeGroupSnapshot(request, { timeoutMs, signal })).groupSnapshot),
    ({ readyToUse }) => ({ ready: readyToUse }),
  );
  // Whose snapshots they are is the administrator's to say: each has a content of its own.
  return write(snapshotter, content, { ...group, snapshots: [] });
}

function write(snapshotter: GroupSnapshotter, content: VolumeGroupSnapshotContent, group: CsiGroup) {
  const { kinds, groupContents } = snapshotter;
  return changeStatus(snapshotter, kinds.contents, groupContents, content, (status) => {
    const milliseconds = Number(nanosecondsOf(group.creationTime) / 1_000_000n);
    const change = {
      ...(status?.volumeGroupSnapshotHandle === undefined && { volumeGroupSnapshotHandle: group.groupSnapshotId }),
      ...(status?.creationTime === undefined && { creationTime: timestamp(milliseconds) }),
      ...(status?.readyToUse !== group.readyToUse && { readyToUse: group.readyToUse }),
      ...(group.readyToUse && status?.error !== undefined && { error: null }),
      ...(!status?.volumeSnapshotInfoList?.length &&
        group.snapshots.length > 0 && {
          volumeSnapshotInfoList: group.snapshots.map((each) => ({
            volumeHandle: each.sourceVolumeId,
            snapshotHandle: each.snapshotId,
            ...(each.creationTime && { creationTime: exactly(nanosecondsOf(each.creationTime)) }),
            readyToUse: each.readyToUse,
            ...(each.sizeBytes > 0n && { restoreSize: Number(each.sizeBytes) }),
          })),
        }),
    };
    return Object.keys(change).length === 0 ? undefined : change;
  });
}

/** Reads the content again first, as `removeSnapshot` does. */
async function remove(snapshotter: GroupSnapshotter, seen: VolumeGroupSnapshotContent): Promise<void> {
  const { api, csi, kinds, groupContents, log, timeoutMs, signal } = snapshotter;
  const content = await api.find(kinds.contents, { name: seen.metadata?.name ?? "" });
  if (content?.metadata?.uid !== seen.metadata?.uid || content === undefined) return;
  if (nextGroupStep(content) !== "delete") return;
  const made = (content.status?.volumeSnapshotInfoList ?? []).flatMap(({ snapshotHandle }) => snapshotHandle ?? []);
  const snapshotIds =
    made.length > 0 ? made : [...(content.spec.source.groupSnapshotHandles?.volumeSnapshotHandles ?? [])];
  const groupSnapshotId = content.status?.volumeGroupSnapshotHandle ?? "";
  const secrets = await secretsOf(snapshotter, content);
  await told(log, groupSubjectOf(content), "DeleteVolumeGroupSnapshot", "the group snapshot is deleted", () =>
    csi.groupController.deleteVolumeGroupSnapshot({ groupSnapshotId, snapshotIds, secrets }, { timeoutMs, signal }),
  );
  const cleared = await changeStatus(snapshotter, kinds.contents, groupContents, content, () => ({
    volumeGroupSnapshotHandle: null,
    readyToUse: null,
    creationTime: null,
    error: null,
  }));
  await release(snapshotter, cleared);
}

async function release(snapshotter: GroupSnapshotter, content: VolumeGroupSnapshotContent): Promise<void> {
  if (!content.metadata?.finalizers?.includes(groupContentProtection)) return;
  const { kinds, groupContents, log } = snapshotter;
  await withoutFinalizers(snapshotter, kinds.contents, groupContents, content, groupContentProtection);
  log.info(groupSubjectOf(content), "the group snapshot's content is let go");
}

function whole(group: CsiGroup | undefined): CsiGroup {
  if (!group?.groupSnapshotId) throw new Error("the driver's answer names no group snapshot");
  return group;
}

const metadataOf = ({ metadata, spec }: VolumeGroupSnapshotContent) => ({
  "csi.storage.k8s.io/volumegroupsnapshot/name": spec.volumeGroupSnapshotRef.name,
  "csi.storage.k8s.io/volumegroupsnapshot/namespace": spec.volumeGroupSnapshotRef.namespace,
  "csi.storage.k8s.io/volumegroupsnapshotcontent/name": metadata?.name ?? "",
});
