/** Groups of snapshots at the driver: cut, or found where somebody else made them. */
import type { VolumeGroupSnapshot as CsiGroup } from "../../csi/gen/csi_pb.ts";
import type { VolumeGroupSnapshotContent } from "../api/snapshot-types.ts";
import { mayStillRun } from "../outcome.ts";
import { groupBeingCreated } from "../snapshots/names.ts";
import { parametersForDriver, secretOf } from "../snapshots/parameters.ts";
import { timestamp } from "../snapshots/told.ts";
import { changeStatus } from "../snapshots/writer.ts";
import { beginCut } from "./begin-cut.ts";
import { readSecret } from "./cut.ts";
import { classOf, type GroupSnapshotter, groupSubjectOf, mark, secretsOf } from "./group-context.ts";
import { nextGroupStep } from "./group-next-step.ts";
import { exactly, nanosecondsOf, told } from "./told.ts";

/** As `cut` for a single snapshot. */
export async function cutGroup(
  snapshotter: GroupSnapshotter,
  given: VolumeGroupSnapshotContent,
): Promise<VolumeGroupSnapshotContent> {
  const { csi, log, timeoutMs, signal, options } = snapshotter;
  const { uid } = given.spec.volumeGroupSnapshotRef;
  if (!uid) throw new Error("the content is not bound to a VolumeGroupSnapshot");
  const parameters = parametersForDriver(classOf(snapshotter, given).parameters);
  if (options.extraCreateMetadata) Object.assign(parameters, metadataOf(given));
  const secrets = await secretsOf(snapshotter, given);
  const kind = { resource: snapshotter.kinds.contents, informer: snapshotter.groupContents };
  const content = await beginCut(snapshotter, kind, given, groupBeingCreated, (now) => nextGroupStep(now) === "cut");
  if (content === undefined) return snapshotter.groupContents.get(given.metadata?.name ?? "") ?? given;
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

/** As `look` for a single snapshot. */
export async function lookAtGroup(
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

function whole(group: CsiGroup | undefined): CsiGroup {
  if (!group?.groupSnapshotId) throw new Error("the driver's answer names no group snapshot");
  return group;
}

const metadataOf = ({ metadata, spec }: VolumeGroupSnapshotContent) => ({
  "csi.storage.k8s.io/volumegroupsnapshot/name": spec.volumeGroupSnapshotRef.name,
  "csi.storage.k8s.io/volumegroupsnapshot/namespace": spec.volumeGroupSnapshotRef.namespace,
  "csi.storage.k8s.io/volumegroupsnapshotcontent/name": metadata?.name ?? "",
});
