/** One snapshot's way: a class, protection, a content, and then whatever the content says. */
import { isNotFound } from "../api/api-error.ts";
import { volumeSnapshotContents, volumeSnapshots } from "../api/resources.ts";
import type { VolumeSnapshot, VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { asSourceProtection, boundProtection } from "../snapshots/names.ts";
import { tryAgain, Unfit } from "../snapshots/told.ts";
import { withFinalizers } from "../snapshots/writer.ts";
import { releaseClaim } from "./claim-protection.ts";
import { withClass } from "./class-of.ts";
import type { Controller } from "./context.ts";
import { endSnapshot } from "./end-snapshot.ts";
import { bind, findContent } from "./find-content.ts";
import { makeContent } from "./make-content.ts";
import { boundContentOf, isMember, isReady, ownerOf, pointsBack, refOf, shown } from "./relations.ts";
import { fail, follow } from "./status.ts";

/** Throws a Later when it is to be looked at again although nothing changes. */
export async function serveSnapshot(controller: Controller, name: string, namespace: string): Promise<void> {
  const { events, log, snapshots } = controller;
  const snapshot = snapshots.get(name, namespace);
  if (snapshot === undefined) return;
  const ending = snapshot.metadata?.deletionTimestamp !== undefined;
  try {
    if (ending) await endSnapshot(controller, snapshot);
    else await advance(controller, snapshot);
  } catch (error) {
    // It was deleted for good meanwhile, and the watch will say so.
    if (isNotFound(error) && snapshots.get(name, namespace)?.metadata?.deletionTimestamp !== undefined) return;
    if (!(error instanceof Unfit)) throw error;
    const { message, reason } = error;
    log.info(
      { snapshot: shown(snapshot), reason, why: message },
      ending ? "the snapshot can't go yet" : "the snapshot waits",
    );
    if (ending) events.warning(volumeSnapshots, snapshot, reason, message);
    else await fail(controller, snapshot, error);
    throw tryAgain(reason);
  }
}

async function advance(controller: Controller, given: VolumeSnapshot): Promise<void> {
  const { persistentVolumeClaimName: claim, volumeSnapshotContentName: existing } = given.spec.source;
  if ((claim === undefined) === (existing === undefined)) {
    const message = "exactly one of persistentVolumeClaimName and volumeSnapshotContentName must be given";
    throw new Unfit("SnapshotValidationError", message);
  }
  let snapshot = await withClass(controller, given);
  await releaseClaim(controller, snapshot);
  // One that asks for another's content gets no protection: nothing of it is there.
  if (!isMember(snapshot)) findContent(controller, snapshot);
  snapshot = await withFinalizers(controller, volumeSnapshots, controller.snapshots, snapshot, asSourceProtection);
  if (isReady(snapshot) && boundContentOf(snapshot) !== undefined) {
    snapshot = await protect(controller, snapshot, check(controller, snapshot));
    await joinGroup(controller, snapshot);
    return;
  }
  const content = await contentFor(controller, snapshot);
  snapshot = await follow(controller, snapshot, content);
  snapshot = await protect(controller, snapshot, content);
  if (!isReady(snapshot)) return;
  await releaseClaim(controller, snapshot);
  await joinGroup(controller, snapshot);
}

async function contentFor(controller: Controller, snapshot: VolumeSnapshot): Promise<VolumeSnapshotContent> {
  if (isMember(snapshot)) {
    // Its group makes and binds it; the snapshot only follows.
    const content = controller.contents.get(boundContentOf(snapshot) ?? "");
    if (content === undefined) throw tryAgain("the group has not made its content yet");
    return content;
  }
  const found = findContent(controller, snapshot);
  const asked = snapshot.spec.source.volumeSnapshotContentName;
  if (found !== undefined) return asked === undefined ? found : bind(controller, snapshot, found);
  if (asked !== undefined) throw new Unfit("SnapshotContentMissing", `there is no VolumeSnapshotContent ${asked}`);
  const had = boundContentOf(snapshot);
  if (had === undefined) return makeContent(controller, snapshot);
  // A new one would be of today's data, under the name and the time of the old.
  const there = await controller.api.find(volumeSnapshotContents, { name: had });
  if (there === undefined) throw missing(had);
  controller.contents.put(there);
  throw tryAgain("its content is not seen yet");
}

const missing = (content: string): Unfit =>
  new Unfit("SnapshotContentMissing", `its VolumeSnapshotContent ${content} does not exist any more`);

/** A ready snapshot whose content is gone, or another's, is not one that can be restored. */
function check({ contents }: Controller, snapshot: VolumeSnapshot): VolumeSnapshotContent {
  const name = boundContentOf(snapshot) ?? "";
  const content = contents.get(name);
  if (content === undefined) throw missing(name);
  if (!pointsBack(content, snapshot)) {
    throw new Unfit("SnapshotMisbound", `its VolumeSnapshotContent ${name} is bound to another snapshot`);
  }
  return content;
}

/** Where the storage goes with the snapshot, the snapshot stays until it has gone. What a group made goes with the group. */
async function protect(
  controller: Controller,
  snapshot: VolumeSnapshot,
  { spec }: VolumeSnapshotContent,
): Promise<VolumeSnapshot> {
  if (spec.deletionPolicy !== "Delete" || isMember(snapshot)) return snapshot;
  return withFinalizers(controller, volumeSnapshots, controller.snapshots, snapshot, boundProtection);
}

/** A snapshot that existed before as a part of a group belongs to it from when its content says so. */
async function joinGroup({ api, groups, snapshots }: Controller, snapshot: VolumeSnapshot): Promise<void> {
  const name = snapshot.status?.volumeGroupSnapshotName;
  if (!name || isMember(snapshot)) return;
  const group = groups?.snapshots.get(name, snapshot.metadata?.namespace);
  if (groups === undefined || group === undefined) return;
  const owner = ownerOf(groups.kind, name, group.metadata?.uid ?? "");
  const { ownerReferences = [], resourceVersion, uid } = snapshot.metadata ?? {};
  const metadata = { uid, resourceVersion, ownerReferences: [...ownerReferences, owner] };
  snapshots.put(await api.patch(volumeSnapshots, refOf(snapshot), { metadata }));
}
