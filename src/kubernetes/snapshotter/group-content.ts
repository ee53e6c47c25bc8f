/** Contents of group snapshots: several volumes cut at one moment, for drivers that can. */
import { attempt, attemptRemoval, unlessGone } from "./attempt.ts";
import { type GroupSnapshotter, mark } from "./group-context.ts";
import { cutGroup, lookAtGroup } from "./group-cut.ts";
import { nextGroupStep } from "./group-next-step.ts";
import { releaseGroup, removeGroup } from "./group-remove.ts";

const cutting = { reason: "GroupSnapshotCreationFailed", what: "Failed to create group snapshot" };
const looking = { reason: "GroupSnapshotContentCheckandUpdateFailed", what: "Failed to find the group snapshot" };
const deleting = { reason: "GroupSnapshotDeleteError", what: "Failed to delete group snapshot" };

/** As `serveContent`. */
export async function serveGroupContent(snapshotter: GroupSnapshotter, name: string): Promise<number | undefined> {
  const kind = { resource: snapshotter.kinds.contents, informer: snapshotter.groupContents };
  const content = kind.informer.get(name);
  const className = content?.spec.volumeGroupSnapshotClassName;
  const named = className === undefined ? undefined : snapshotter.groupClasses.get(className);
  if (content === undefined || (named !== undefined && named.driver !== snapshotter.driver.name)) return undefined;
  switch (nextGroupStep(content)) {
    case "cut":
      return attempt(snapshotter, kind, content, () => cutGroup(snapshotter, content), cutting);
    case "look":
      return attempt(snapshotter, kind, content, () => lookAtGroup(snapshotter, content), looking);
    case "delete":
      await attemptRemoval(snapshotter, kind, content, () => removeGroup(snapshotter, content), deleting);
      return undefined;
    case "release":
      await unlessGone(releaseGroup(snapshotter, content));
      return undefined;
    case "settle":
      await unlessGone(mark(snapshotter, content, null));
      return undefined;
    case "nothing":
      return undefined;
  }
}
