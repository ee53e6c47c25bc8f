/** A snapshot that is being deleted: its content is told, and the snapshot goes when the content has gone or stays without it. */
import { isNotFound } from "../api/api-error.ts";
import { volumeSnapshotContents, volumeSnapshots } from "../api/resources.ts";
import type { VolumeSnapshot, VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { asSourceProtection, beingDeleted, boundProtection, inGroupProtection } from "../snapshots/names.ts";
import { Unfit } from "../snapshots/told.ts";
import { annotate, withoutFinalizers } from "../snapshots/writer.ts";
import { releaseClaim } from "./claim-protection.ts";
import type { Controller } from "./context.ts";
import { boundContentOf, contentNameFor, groupOf, pointsBack, refOf, shown } from "./relations.ts";

/** Throws an Unfit while something holds it. */
export async function endSnapshot(controller: Controller, snapshot: VolumeSnapshot): Promise<void> {
  const held = snapshot.metadata?.finalizers ?? [];
  if (![asSourceProtection, boundProtection, inGroupProtection].some((each) => held.includes(each))) return;
  const content = await contentOf(controller, snapshot);
  if (content !== undefined) refuseWhileRestored(controller, snapshot);
  refuseWhileGrouped(controller, snapshot);
  if (content !== undefined) await endContent(controller, snapshot, content);
  await releaseClaim(controller, snapshot, true);
  const waits = content?.spec.deletionPolicy === "Delete";
  try {
    const { api, snapshots } = controller;
    const gone = [asSourceProtection, inGroupProtection, ...(waits ? [] : [boundProtection])];
    await withoutFinalizers({ api }, volumeSnapshots, snapshots, snapshot, ...gone);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/**
 * The content that is this snapshot's. Without it the snapshot goes at once, and what was made for it would stay on the storage: where
 * none is known yet the API server is asked.
 */
async function contentOf(
  { api, contents }: Controller,
  snapshot: VolumeSnapshot,
): Promise<VolumeSnapshotContent | undefined> {
  const dynamic = snapshot.spec.source.persistentVolumeClaimName !== undefined;
  const name = boundContentOf(snapshot) ?? (dynamic ? contentNameFor(snapshot) : undefined);
  if (name === undefined) return undefined;
  const content = contents.get(name) ?? (await api.find(volumeSnapshotContents, { name }));
  return content !== undefined && pointsBack(content, snapshot) ? content : undefined;
}

/** Throws an Unfit while a claim is being restored from it. */
export function refuseWhileRestored({ claims }: Pick<Controller, "claims">, snapshot: VolumeSnapshot): void {
  const { name, namespace } = refOf(snapshot);
  for (const { metadata, spec, status } of claims.all()) {
    if (metadata?.namespace !== namespace || status?.phase !== "Pending") continue;
    const { kind, apiGroup, name: source } = spec?.dataSource ?? {};
    if (kind === "VolumeSnapshot" && apiGroup === "snapshot.storage.k8s.io" && source === name) {
      throw new Unfit("SnapshotDeletePending", `Snapshot is being used to restore the claim ${metadata?.name}`);
    }
  }
}

function refuseWhileGrouped({ groups }: Controller, snapshot: VolumeSnapshot): void {
  const group = snapshot.status?.volumeGroupSnapshotName ?? groupOf(snapshot);
  if (group === undefined || groups?.snapshots.get(group, snapshot.metadata?.namespace) === undefined) return;
  const message = `Snapshot is a part of the group snapshot ${group}: it goes when that has been deleted`;
  throw new Unfit("SnapshotDeletePending", message);
}

async function endContent(
  controller: Controller,
  snapshot: VolumeSnapshot,
  content: VolumeSnapshotContent,
): Promise<void> {
  const { api, contents, events, log } = controller;
  const { name = "", uid } = content.metadata ?? {};
  try {
    const told = await annotate(controller, volumeSnapshotContents, contents, content, beingDeleted, "yes");
    if (content.spec.deletionPolicy !== "Delete" || told.metadata?.deletionTimestamp !== undefined) return;
    await api.delete(volumeSnapshotContents, { name }, uid === undefined ? {} : { uid });
    log.info({ snapshot: shown(snapshot), content: name }, "the snapshot's content is to go with it");
  } catch (error) {
    if (isNotFound(error)) return;
    const message = `Failed to delete the content ${name}: ${String(error)}`;
    events.warning(volumeSnapshots, snapshot, "SnapshotContentObjectDeleteError", message);
    throw error;
  }
}
