/** One content's next step, done; and when to look again. */
import { volumeSnapshotContents } from "../api/resources.ts";
import type { VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { attempt, attemptRemoval, unlessGone } from "./attempt.ts";
import type { Snapshotter } from "./context.ts";
import { cut, mark } from "./cut.ts";
import { look } from "./look.ts";
import { nextStep } from "./next-step.ts";
import { release, removeSnapshot } from "./remove.ts";

const cutting = { reason: "SnapshotCreationFailed", what: "Failed to create snapshot" };
const looking = { reason: "SnapshotContentCheckandUpdateFailed", what: "Failed to find the snapshot" };
const deleting = { reason: "SnapshotDeleteError", what: "Failed to delete snapshot" };

/** Gives back in how many milliseconds to look again; undefined: when it changes. Throws a Later after a failure. */
export async function serveContent(snapshotter: Snapshotter, name: string): Promise<number | undefined> {
  const kind = { resource: volumeSnapshotContents, informer: snapshotter.contents };
  const content = kind.informer.get(name);
  if (content === undefined || !isServed(snapshotter, content)) return undefined;
  switch (nextStep(content)) {
    case "cut":
      return attempt(snapshotter, kind, content, () => cut(snapshotter, content), cutting);
    case "look":
      return attempt(snapshotter, kind, content, () => look(snapshotter, content), looking);
    case "delete":
      await attemptRemoval(snapshotter, kind, content, () => removeSnapshot(snapshotter, content), deleting);
      return undefined;
    case "release":
      await unlessGone(release(snapshotter, content));
      return undefined;
    case "settle":
      await unlessGone(mark(snapshotter, content, null));
      return undefined;
    case "wait":
    case "nothing":
      return undefined;
  }
}

/** Whether the driver is to be asked: a class of another driver on our content is somebody's error. */
function isServed({ classes, driver }: Snapshotter, { spec }: VolumeSnapshotContent): boolean {
  const named = spec.volumeSnapshotClassName === undefined ? undefined : classes.get(spec.volumeSnapshotClassName);
  return spec.driver === driver.name && (named === undefined || named.driver === driver.name);
}
