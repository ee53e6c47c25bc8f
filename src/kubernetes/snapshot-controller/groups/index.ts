/** The snapshot-controller's part for group snapshots, from when the cluster has their definitions. */
import { once } from "node:events";
import { keyOf, keyOfObject } from "../../api/informer.ts";
import { openQueue, type Queue } from "../../api/queue.ts";
import type { VolumeGroupSnapshot } from "../../api/snapshot-types.ts";
import { waitForGroupKinds } from "../../snapshots/kinds.ts";
import { withoutManagedFields } from "../../watched.ts";
import type { Controller } from "../context.ts";
import type { GroupController } from "./context.ts";
import { serveGroup, serveGroupContent } from "./serve-group.ts";

/** `snapshotQueue` is that of the single snapshots, which wait for their group in some things. */
export async function serveGroups(
  controller: Controller,
  snapshotQueue: Queue,
  limits: { readonly workers: number; readonly firstWaitMs?: number; readonly longestWaitMs?: number },
): Promise<void> {
  const { api, informers, log, signal, snapshots } = controller;
  const kinds = await waitForGroupKinds(api, log, signal);
  const groups = {
    kind: kinds.snapshots,
    snapshots: informers.of(kinds.snapshots, { keep: withoutManagedFields }),
    contents: informers.of(
      kinds.contents,
      {
        keep: withoutManagedFields,
        indexes: {
          handle: ({ status }) => (status?.volumeGroupSnapshotHandle ? [status.volumeGroupSnapshotHandle] : []),
        },
      },
      "group contents of all drivers",
    ),
  };
  const groupClasses = informers.of(kinds.classes, { keep: withoutManagedFields });
  await Promise.all([groups.snapshots.synced, groups.contents.synced, groupClasses.synced]);
  controller.groups = groups;
  const grouped: GroupController = { ...controller, kinds, groups, groupClasses };

  const queue = openQueue(
    {
      ...limits,
      name: "group",
      fields: (group) => ({ group }),
      run: async (key) => {
        const slash = key.indexOf("/");
        await serveGroup(grouped, key.slice(slash + 1), key.slice(0, slash));
        return undefined;
      },
    },
    log,
  );
  const contentQueue = openQueue(
    {
      ...limits,
      name: "group content",
      fields: (content) => ({ content }),
      run: async (name) => {
        await serveGroupContent(grouped, name);
        return undefined;
      },
    },
    log,
  );
  groups.snapshots.on(({ kind, object, before }) => {
    // Its snapshots wait with their end for the group's.
    if (kind === "removed")
      for (const each of snapshots.by("group", keyOfObject(object))) snapshotQueue.add(keyOfObject(each));
    else if (before === undefined || asked(object) !== asked(before)) queue.add(keyOfObject(object));
  });
  groups.contents.on(({ kind, object: { metadata, spec } }) => {
    if (kind !== "removed") contentQueue.add(metadata?.name ?? "");
    const { name, namespace } = spec.volumeGroupSnapshotRef;
    queue.add(keyOf(name, namespace));
    for (const each of snapshots.by("group", keyOf(name, namespace))) snapshotQueue.add(keyOfObject(each));
  });
  groupClasses.on(({ kind }) => {
    if (kind === "removed") return;
    for (const group of groups.snapshots.all()) if (group.status?.readyToUse !== true) queue.add(keyOfObject(group));
  });
  log.info({ version: kinds.snapshots.version }, "the snapshot-controller serves group snapshots");
  if (!signal.aborted) await once(signal, "abort");
  await Promise.all([queue.stop(), contentQueue.stop()]);
}

/** What only we write must not cut the wait after a failure short. */
const asked = ({ metadata, spec }: VolumeGroupSnapshot): string =>
  JSON.stringify([metadata?.uid, metadata?.deletionTimestamp, metadata?.annotations, spec]);
