/**
 * The snapshot-controller: the cluster's part of snapshots, for all drivers. VolumeSnapshots get their contents, for the drivers'
 * snapshotters to fill. One in a cluster: beside another they would write over each other.
 */
import { once } from "node:events";
import { type Change, keyOf, keyOfObject } from "../api/informer.ts";
import { openQueue, type Queue } from "../api/queue.ts";
import { volumeSnapshotClasses, volumeSnapshotContents, volumeSnapshots } from "../api/resources.ts";
import type { VolumeSnapshot } from "../api/snapshot-types.ts";
import { waitForSnapshotKinds } from "../snapshots/kinds.ts";
import { watchClaims, withoutManagedFields } from "../watched.ts";
import type { ClusterContext, Controller, SnapshotControllerOptions } from "./context.ts";
import { serveGroups } from "./groups/index.ts";
import { groupOf, isReady } from "./relations.ts";
import { serveContent } from "./serve-content.ts";
import { serveSnapshot } from "./serve-snapshot.ts";

export type { ClusterContext, SnapshotControllerOptions } from "./context.ts";

/** Works until the context's signal. Waits where the cluster has no VolumeSnapshots yet. Run it under a Lease. */
export async function runSnapshotController(
  context: ClusterContext,
  options: SnapshotControllerOptions = {},
): Promise<void> {
  const { api, informers, log, signal } = context;
  try {
    await waitForSnapshotKinds(api, log, signal);
    const controller: Controller = {
      ...context,
      options,
      snapshots: informers.of(volumeSnapshots, {
        keep: withoutManagedFields,
        indexes: {
          claim: ({ metadata, spec: { source } }) =>
            source.persistentVolumeClaimName ? [keyOf(source.persistentVolumeClaimName, metadata?.namespace)] : [],
          group: (snapshot) => {
            const group = groupOf(snapshot);
            return group === undefined ? [] : [keyOf(group, snapshot.metadata?.namespace)];
          },
        },
      }),
      contents: informers.of(volumeSnapshotContents, { keep: withoutManagedFields }, "contents of all drivers"),
      classes: informers.of(volumeSnapshotClasses, { keep: withoutManagedFields }),
      claims: watchClaims(context),
    };
    const { snapshots, contents, classes, claims } = controller;
    await Promise.all([snapshots, contents, classes, claims].map(({ synced }) => synced));
    await serve(controller);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function serve(controller: Controller): Promise<void> {
  const { snapshots, contents, classes, claims, log, options, signal } = controller;
  const limits = {
    workers: options.workers ?? 10,
    ...(options.firstWaitMs !== undefined && { firstWaitMs: options.firstWaitMs }),
    ...(options.longestWaitMs !== undefined && { longestWaitMs: options.longestWaitMs }),
  };
  const snapshotQueue = openQueue(
    {
      ...limits,
      name: "snapshot",
      fields: (snapshot) => ({ snapshot }),
      run: async (key) => {
        const slash = key.indexOf("/");
        await serveSnapshot(controller, key.slice(slash + 1), key.slice(0, slash));
        return undefined;
      },
    },
    log,
  );
  const contentQueue = openQueue(
    {
      ...limits,
      name: "content",
      fields: (content) => ({ content }),
      run: async (name) => {
        await serveContent(controller, name);
        return undefined;
      },
    },
    log,
  );
  snapshots.on((change) => {
    if (change.kind !== "removed" && concerns(change)) snapshotQueue.add(keyOfObject(change.object));
  });
  contents.on(({ kind, object: { metadata, spec } }) => {
    if (kind !== "removed") contentQueue.add(metadata?.name ?? "");
    snapshotQueue.add(keyOf(spec.volumeSnapshotRef.name, spec.volumeSnapshotRef.namespace));
  });
  classes.on(({ kind }) => {
    if (kind !== "removed") wake(snapshots.all(), snapshotQueue);
  });
  claims.on(({ object, before }) => {
    // A snapshot waits for its claim to be bound, or for one that restores it to be done.
    if (object.status?.phase !== before?.status?.phase) wake(snapshots.by("claim", keyOfObject(object)), snapshotQueue);
    const { kind, name } = object.spec?.dataSource ?? {};
    const source = kind === "VolumeSnapshot" && name ? snapshots.get(name, object.metadata?.namespace) : undefined;
    if (source?.metadata?.deletionTimestamp !== undefined) snapshotQueue.add(keyOfObject(source));
  });
  log.info({}, "the snapshot-controller works");
  const groups = serveGroups(controller, snapshotQueue, limits);
  if (!signal.aborted) await once(signal, "abort");
  // It only throws when it is ended before it began.
  await Promise.all([snapshotQueue.stop(), contentQueue.stop(), groups.catch(() => undefined)]);
}

function wake(waiting: Iterable<VolumeSnapshot>, queue: Queue): void {
  for (const snapshot of waiting) if (!isReady(snapshot)) queue.add(keyOfObject(snapshot));
}

/** What only we write must not cut the wait after a failure short. */
function concerns({ object, before }: Change<VolumeSnapshot>): boolean {
  return before === undefined || asked(object) !== asked(before);
}

const asked = ({ metadata, spec, status }: VolumeSnapshot): string =>
  JSON.stringify([
    metadata?.uid,
    metadata?.deletionTimestamp,
    metadata?.annotations,
    metadata?.ownerReferences,
    spec,
    status?.boundVolumeSnapshotContentName,
  ]);
