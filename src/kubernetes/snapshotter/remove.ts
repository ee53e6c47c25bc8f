/** The end of a content: the snapshot goes from the storage if its policy says so, and then the content is let go. */
import { volumeSnapshotContents } from "../api/resources.ts";
import type { VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { contentProtection } from "../snapshots/names.ts";
import { changeStatus, withoutFinalizers } from "../snapshots/writer.ts";
import type { Snapshotter } from "./context.ts";
import { secretsOf } from "./cut.ts";
import { nextStep } from "./next-step.ts";
import { subjectOf, told } from "./told.ts";

/**
 * Deletes the snapshot on the storage. What is seen here may be old, and this can't be undone: the content is read again, and nothing
 * is done when it says otherwise. May be repeated. Throws the driver's CsiError, and why a secret can't be read.
 */
export async function removeSnapshot(snapshotter: Snapshotter, seen: VolumeSnapshotContent): Promise<void> {
  const { api, csi, contents, log, timeoutMs, signal } = snapshotter;
  const content = await api.find(volumeSnapshotContents, { name: seen.metadata?.name ?? "" });
  if (content === undefined || content.metadata?.uid !== seen.metadata?.uid || nextStep(content) !== "delete") return;
  const snapshotId = content.status?.snapshotHandle ?? "";
  const secrets = await secretsOf(snapshotter, content);
  await told(log, { ...subjectOf(content), handle: snapshotId }, "DeleteSnapshot", "the snapshot is deleted", () =>
    csi.controller.deleteSnapshot({ snapshotId, secrets }, { timeoutMs, signal }),
  );
  // From here on nobody asks the driver again for what is gone.
  const cleared = await changeStatus(snapshotter, volumeSnapshotContents, contents, content, () => ({
    snapshotHandle: null,
    readyToUse: null,
    creationTime: null,
    restoreSize: null,
  }));
  await release(snapshotter, cleared);
}

/** Lets the API server remove the content. */
export async function release(snapshotter: Snapshotter, content: VolumeSnapshotContent): Promise<void> {
  if (!content.metadata?.finalizers?.includes(contentProtection)) return;
  await withoutFinalizers(snapshotter, volumeSnapshotContents, snapshotter.contents, content, contentProtection);
  const retained = content.status?.snapshotHandle;
  snapshotter.log.info(
    { ...subjectOf(content), ...(retained !== undefined && { retained }) },
    "the snapshot's content is let go",
  );
}
