/** One content's next step, done; and when to look again. */
import { isNotFound } from "../api/api-error.ts";
import { volumeSnapshotContents } from "../api/resources.ts";
import type { VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { explain } from "../outcome.ts";
import { tryAgain } from "../snapshots/told.ts";
import { changeStatus, failedStatus } from "../snapshots/writer.ts";
import type { Snapshotter } from "./context.ts";
import { cut, mark } from "./cut.ts";
import { look } from "./look.ts";
import { nextStep } from "./next-step.ts";
import { release, removeSnapshot } from "./remove.ts";

const shortestPollMs = 1_000;
const longestPollMs = 60_000;

/** Gives back in how many milliseconds to look again; undefined: when it changes. Throws a Later after a failure. */
export async function serveContent(snapshotter: Snapshotter, name: string): Promise<number | undefined> {
  const content = snapshotter.contents.get(name);
  if (content === undefined || !isServed(snapshotter, content)) return undefined;
  switch (nextStep(content)) {
    case "cut":
      return attempt(snapshotter, content, cut, "SnapshotCreationFailed", "Failed to create snapshot");
    case "look":
      return attempt(snapshotter, content, look, "SnapshotContentCheckandUpdateFailed", "Failed to find the snapshot");
    case "delete":
      await remove(snapshotter, content);
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

async function attempt(
  snapshotter: Snapshotter,
  content: VolumeSnapshotContent,
  work: (snapshotter: Snapshotter, content: VolumeSnapshotContent) => Promise<VolumeSnapshotContent>,
  reason: string,
  what: string,
): Promise<number | undefined> {
  try {
    const { metadata, status } = await work(snapshotter, content);
    return status?.readyToUse === true ? undefined : pollAfter(metadata?.creationTimestamp);
  } catch (error) {
    if (snapshotter.signal.aborted) throw error;
    // Only the content itself can be what the API server misses.
    if (isNotFound(error)) return undefined;
    const message = `${what}: ${explain(error)}`;
    await tellFailure(snapshotter, content, reason, message);
    throw tryAgain(what);
  }
}

/** The storage may need seconds or hours until a snapshot is ready: a quarter of the time that its content has waited. */
function pollAfter(waitsSince: string | undefined): number {
  const waitedMs = waitsSince === undefined ? 0 : Date.now() - Date.parse(waitsSince);
  return Math.min(longestPollMs, Math.max(shortestPollMs, waitedMs / 4));
}

/** In the content's status, from where it reaches the snapshot, and as an event; once for the same words. */
async function tellFailure(snapshotter: Snapshotter, content: VolumeSnapshotContent, reason: string, message: string) {
  const newest = snapshotter.contents.get(content.metadata?.name ?? "") ?? content;
  if (newest.status?.error?.message === message) return;
  snapshotter.events.warning(volumeSnapshotContents, newest, reason, message);
  try {
    await changeStatus(snapshotter, volumeSnapshotContents, snapshotter.contents, newest, (status) =>
      failedStatus(status, message),
    );
  } catch (error) {
    snapshotter.log.debug({ content: content.metadata?.name, error: String(error) }, "a failure could not be written");
  }
}

async function remove(snapshotter: Snapshotter, content: VolumeSnapshotContent): Promise<void> {
  try {
    await unlessGone(removeSnapshot(snapshotter, content));
  } catch (error) {
    if (snapshotter.signal.aborted) throw error;
    const message = `Failed to delete snapshot: ${explain(error)}`;
    snapshotter.events.warning(volumeSnapshotContents, content, "SnapshotDeleteError", message);
    throw tryAgain("Failed to delete snapshot");
  }
}

async function unlessGone(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
