/** One content's part: it is protected once it is bound. What becomes of it later is its snapshot's to say: without one nothing is deleted,
 * for objects that were copied from another cluster have none. */
import { isNotFound } from "../api/api-error.ts";
import { volumeSnapshotContents } from "../api/resources.ts";
import { contentProtection } from "../snapshots/names.ts";
import { tryAgain, Unfit } from "../snapshots/told.ts";
import { withFinalizers } from "../snapshots/writer.ts";
import type { Controller } from "./context.ts";

/** Throws a Later for one that nobody can serve. */
export async function serveContent(controller: Controller, name: string): Promise<void> {
  const { contents, events } = controller;
  const content = contents.get(name);
  if (content === undefined) return;
  const { source, volumeSnapshotRef } = content.spec;
  try {
    if ((source.volumeHandle === undefined) === (source.snapshotHandle === undefined)) {
      throw new Unfit("ContentValidationError", "exactly one of volumeHandle and snapshotHandle must be given");
    }
    // A content that waits for its snapshot may go as it came.
    if (!volumeSnapshotRef.uid) return;
    if (content.metadata?.deletionTimestamp === undefined) {
      await withFinalizers(controller, volumeSnapshotContents, contents, content, contentProtection);
    }
  } catch (error) {
    if (isNotFound(error)) return;
    if (!(error instanceof Unfit)) throw error;
    events.warning(volumeSnapshotContents, content, error.reason, error.message);
    throw tryAgain(error.reason);
  }
}
