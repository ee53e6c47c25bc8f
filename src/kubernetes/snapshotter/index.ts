/** The snapshotter: contents of VolumeSnapshots get their snapshot from the driver, and give it back. */
import { once } from "node:events";
import type { Change } from "../api/informer.ts";
import { openQueue } from "../api/queue.ts";
import { volumeSnapshotClasses } from "../api/resources.ts";
import type { VolumeSnapshotContent } from "../api/snapshot-types.ts";
import type { HelperContext } from "../helper.ts";
import { waitForSnapshotKinds } from "../snapshots/kinds.ts";
import { beingCreated } from "../snapshots/names.ts";
import { watchContents, withoutManagedFields } from "../watched.ts";
import type { Snapshotter, SnapshotterOptions } from "./context.ts";
import { serveContent } from "./serve-content.ts";
import { subjectOf } from "./told.ts";

export type { SnapshotterOptions } from "./context.ts";

/**
 * Serves the contents of the driver until the context's signal: all of the cluster's, or those that are labelled with the context's
 * node. Waits where the cluster has no VolumeSnapshots yet. A driver without snapshots has nothing to be done.
 */
export async function runSnapshotter(context: HelperContext, options: SnapshotterOptions = {}): Promise<void> {
  const { api, driver, informers, log, signal } = context;
  if (!driver.controller.has("CREATE_DELETE_SNAPSHOT")) {
    log.info({ driver: driver.name }, "the driver takes no snapshots: the snapshotter has nothing to do");
    if (!signal.aborted) await once(signal, "abort");
    return;
  }
  try {
    await waitForSnapshotKinds(api, log, signal);
    const snapshotter: Snapshotter = {
      ...context,
      options,
      timeoutMs: options.timeoutMs ?? 60_000,
      contents: watchContents(context),
      classes: informers.of(volumeSnapshotClasses, { keep: withoutManagedFields }),
    };
    await Promise.all([snapshotter.contents.synced, snapshotter.classes.synced]);
    await serve(snapshotter);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function serve(snapshotter: Snapshotter): Promise<void> {
  const { contents, classes, driver, log, node, options, signal } = snapshotter;
  const queue = openQueue(
    {
      name: "snapshot content",
      workers: options.workers ?? 10,
      ...(options.firstWaitMs !== undefined && { firstWaitMs: options.firstWaitMs }),
      ...(options.longestWaitMs !== undefined && { longestWaitMs: options.longestWaitMs }),
      run: (name) => serveContent(snapshotter, name),
      fields: (name) => {
        const content = contents.get(name);
        return content === undefined ? { content: name } : subjectOf(content);
      },
    },
    log,
  );
  contents.on((change) => {
    if (change.kind !== "removed" && concerns(change)) queue.add(change.object.metadata?.name ?? "");
  });
  // A content may have waited for its class.
  classes.on(({ kind, object }) => {
    if (kind !== "added") return;
    for (const { metadata } of contents.by("class", object.metadata?.name ?? "")) queue.add(metadata?.name ?? "");
  });
  log.info({ driver: driver.name, ...(node !== undefined && { node }) }, "the snapshotter works");
  if (!signal.aborted) await once(signal, "abort");
  await queue.stop();
}

/** What only we write must not cut the wait after a failure short. That it became ready may be what a deletion waited for. */
function concerns({ object, before }: Change<VolumeSnapshotContent>): boolean {
  if (before === undefined) return true;
  if (object.status?.readyToUse === true && before.status?.readyToUse !== true) return true;
  return asked(object) !== asked(before);
}

const asked = ({ metadata, spec }: VolumeSnapshotContent): string =>
  JSON.stringify([
    metadata?.uid,
    metadata?.deletionTimestamp,
    metadata?.labels,
    { ...metadata?.annotations, [beingCreated]: undefined },
    spec,
  ]);
