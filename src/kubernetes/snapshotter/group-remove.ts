/** The end of a group's content: its snapshots go from the storage if its policy says so, and then the content is let go. */
import type { VolumeGroupSnapshotContent } from "../api/snapshot-types.ts";
import { groupContentProtection } from "../snapshots/names.ts";
import { changeStatus, withoutFinalizers } from "../snapshots/writer.ts";
import { type GroupSnapshotter, groupSubjectOf, secretsOf } from "./group-context.ts";
import { nextGroupStep } from "./group-next-step.ts";
import { told } from "./told.ts";

/** Reads the content again first, as `removeSnapshot` does. */
export async function removeGroup(snapshotter: GroupSnapshotter, seen: VolumeGroupSnapshotContent): Promise<void> {
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
  await releaseGroup(snapshotter, cleared);
}

/** Lets the API server remove the content. */
export async function releaseGroup(snapshotter: GroupSnapshotter, content: VolumeGroupSnapshotContent): Promise<void> {
  if (!content.metadata?.finalizers?.includes(groupContentProtection)) return;
  const { kinds, groupContents, log } = snapshotter;
  await withoutFinalizers(snapshotter, kinds.contents, groupContents, content, groupContentProtection);
  log.info(groupSubjectOf(content), "the group snapshot's content is let go");
}
