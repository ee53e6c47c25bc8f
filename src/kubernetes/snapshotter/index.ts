/** The snapshotter: contents of VolumeSnapshots get their snapshot from the driver, and give it back. */
import { once } from "node:events";
import type { Change, Informer } from "../api/informer.ts";
import { openQueue, type Queue } from "../api/queue.ts";
import { type ApiObject, volumeSnapshotClasses } from "../api/resources.ts";
import type { HelperContext } from "../helper.ts";
import { waitForGroupKinds, waitForSnapshotKinds } from "../snapshots/kinds.ts";
import { beingCreated, groupBeingCreated, managedBy } from "../snapshots/names.ts";
import { watchContents, withoutManagedFields } from "../watched.ts";
import type { Snapshotter, SnapshotterOptions } from "./context.ts";
import { serveGroupContent } from "./group-content.ts";
import { groupSubjectOf } from "./group-context.ts";
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
  const { contents, classes, driver, log, node, signal } = snapshotter;
  const queue = queueOf(snapshotter, "snapshot content", contents, subjectOf, (name) =>
    serveContent(snapshotter, name),
  );
  follow(queue, contents, classes, beingCreated);
  log.info({ driver: driver.name, ...(node !== undefined && { node }) }, "the snapshotter works");
  const groups = driver.groupController.has("CREATE_DELETE_GET_VOLUME_GROUP_SNAPSHOT")
    ? serveGroups(snapshotter)
    : Promise.resolve();
  if (!signal.aborted) await once(signal, "abort");
  await Promise.all([queue.stop(), groups.catch(() => undefined)]);
}

/** From when the cluster has their definitions. */
async function serveGroups(snapshotter: Snapshotter): Promise<void> {
  const { api, driver, informers, log, node, signal } = snapshotter;
  const kinds = await waitForGroupKinds(api, log, signal);
  const groupContents = informers.of(
    kinds.contents,
    {
      keep: (content) => (content.spec.driver === driver.name ? withoutManagedFields(content) : undefined),
      indexes: { class: ({ spec }) => (spec.volumeGroupSnapshotClassName ? [spec.volumeGroupSnapshotClassName] : []) },
      ...(node !== undefined && { labelSelector: `${managedBy}=${node}` }),
    },
    "group contents of the driver",
  );
  const groupClasses = informers.of(kinds.classes, { keep: withoutManagedFields });
  await Promise.all([groupContents.synced, groupClasses.synced]);
  const groups = { ...snapshotter, kinds, groupContents, groupClasses };
  const queue = queueOf(snapshotter, "group content", groupContents, groupSubjectOf, (name) =>
    serveGroupContent(groups, name),
  );
  follow(queue, groupContents, groupClasses, groupBeingCreated);
  log.info({ driver: driver.name }, "the snapshotter serves group snapshots");
  if (!signal.aborted) await once(signal, "abort");
  await queue.stop();
}

type Content = ApiObject & {
  readonly spec: object;
  readonly status?: { readonly readyToUse?: boolean; readonly volumeGroupSnapshotHandle?: string };
};

function queueOf<T extends Content>(
  { log, options }: Snapshotter,
  name: string,
  contents: Informer<T>,
  fields: (content: T) => object,
  run: (name: string) => Promise<number | undefined>,
): Queue {
  const shown = (key: string) => {
    const content = contents.get(key);
    return content === undefined ? { content: key } : fields(content);
  };
  const waits = {
    ...(options.firstWaitMs !== undefined && { firstWaitMs: options.firstWaitMs }),
    ...(options.longestWaitMs !== undefined && { longestWaitMs: options.longestWaitMs }),
  };
  return openQueue({ name, workers: options.workers ?? 10, ...waits, run, fields: shown }, log);
}

function follow<T extends Content>(
  queue: Queue,
  contents: Informer<T>,
  classes: Informer<ApiObject>,
  ours: string,
): void {
  contents.on((change) => {
    if (change.kind !== "removed" && concerns(change, ours)) queue.add(change.object.metadata?.name ?? "");
  });
  // A content may have waited for its class.
  classes.on(({ kind, object }) => {
    if (kind !== "added") return;
    for (const { metadata } of contents.by("class", object.metadata?.name ?? "")) queue.add(metadata?.name ?? "");
  });
}

/** What only we write must not cut the wait after a failure short. That it became ready may be what a deletion waited for. */
function concerns<T extends Content>({ object, before }: Change<T>, ours: string): boolean {
  if (before === undefined) return true;
  if (object.status?.readyToUse === true && before.status?.readyToUse !== true) return true;
  return asked(object, ours) !== asked(before, ours);
}

const asked = ({ metadata, spec, status }: Content, ours: string): string =>
  JSON.stringify([
    // A member of a group has its handle from the snapshot-controller, and is then to be looked at.
    status?.volumeGroupSnapshotHandle,
    metadata?.uid,
    metadata?.deletionTimestamp,
    metadata?.labels,
    { ...metadata?.annotations, [ours]: undefined },
    spec,
  ]);
