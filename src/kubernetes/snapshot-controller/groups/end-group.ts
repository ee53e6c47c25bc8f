/** A group snapshot that is being deleted: its content and its snapshots are told, and it goes when the content has gone or stays. */
import { isNotFound } from "../../api/api-error.ts";
import { keyOfObject } from "../../api/informer.ts";
import { volumeSnapshots } from "../../api/resources.ts";
import type { VolumeGroupSnapshot, VolumeGroupSnapshotContent } from "../../api/snapshot-types.ts";
import { groupBeingDeleted, groupBoundProtection } from "../../snapshots/names.ts";
import { annotate, withoutFinalizers } from "../../snapshots/writer.ts";
import { refuseWhileRestored } from "../end-snapshot.ts";
import { refOf, shown } from "../relations.ts";
import { groupContentNameFor, groupPointsBack } from "./content.ts";
import type { GroupController } from "./context.ts";

/** Throws an Unfit while a claim is being restored from one of its snapshots. */
export async function endGroup(controller: GroupController, group: VolumeGroupSnapshot): Promise<void> {
  if (!group.metadata?.finalizers?.includes(groupBoundProtection)) return;
  const { api, groups, kinds, log, snapshots } = controller;
  const content = await contentOf(controller, group);
  const members = snapshots.by("group", keyOfObject(group));
  for (const member of members) refuseWhileRestored(controller, member);
  if (content !== undefined) {
    const { name = "", uid, deletionTimestamp } = content.metadata ?? {};
    try {
      await annotate(controller, kinds.contents, groups.contents, content, groupBeingDeleted, "yes");
      if (content.spec.deletionPolicy === "Delete" && deletionTimestamp === undefined) {
        await api.delete(kinds.contents, { name }, uid === undefined ? {} : { uid });
        log.info({ group: shown(group), content: name }, "the group snapshot's content is to go with it");
      }
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
  for (const member of members) {
    if (member.metadata?.deletionTimestamp === undefined) await api.delete(volumeSnapshots, refOf(member));
  }
  if (content?.spec.deletionPolicy === "Delete") return;
  try {
    await withoutFinalizers(controller, kinds.snapshots, groups.snapshots, group, groupBoundProtection);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** Where none is known yet the API server is asked, as for a single snapshot. */
async function contentOf(
  { api, groups, kinds }: GroupController,
  group: VolumeGroupSnapshot,
): Promise<VolumeGroupSnapshotContent | undefined> {
  const bound = group.status?.boundVolumeGroupSnapshotContentName;
  const dynamic = group.spec.source.selector !== undefined;
  const name = bound ?? (dynamic ? groupContentNameFor(group) : undefined);
  if (name === undefined) return undefined;
  const content = groups.contents.get(name) ?? (await api.find(kinds.contents, { name }));
  return content !== undefined && groupPointsBack(content, group) ? content : undefined;
}
