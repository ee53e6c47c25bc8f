/** One group snapshot's way: a class, a content, its snapshots, and then whatever the content says. */
import { isNotFound } from "../../api/api-error.ts";
import type { VolumeGroupSnapshot, VolumeGroupSnapshotContent } from "../../api/snapshot-types.ts";
import { groupBoundProtection, groupContentProtection } from "../../snapshots/names.ts";
import { timestamp, tryAgain, Unfit } from "../../snapshots/told.ts";
import { changeStatus, withFinalizers } from "../../snapshots/writer.ts";
import { shown } from "../relations.ts";
import { bindGroup, findGroupContent, groupPointsBack, makeGroupContent } from "./content.ts";
import type { GroupController } from "./context.ts";
import { endGroup } from "./end-group.ts";
import { makeMembers } from "./members.ts";
import { withGroupClass } from "./sources.ts";

/** Throws a Later when it is to be looked at again although nothing changes. */
export async function serveGroup(controller: GroupController, name: string, namespace: string): Promise<void> {
  const { events, groups, kinds, log } = controller;
  const group = groups.snapshots.get(name, namespace);
  if (group === undefined) return;
  const ending = group.metadata?.deletionTimestamp !== undefined;
  try {
    if (ending) await endGroup(controller, group);
    else await advance(controller, group);
  } catch (error) {
    if (isNotFound(error) && groups.snapshots.get(name, namespace)?.metadata?.deletionTimestamp !== undefined) return;
    if (!(error instanceof Unfit)) throw error;
    const { message, reason } = error;
    log.info(
      { group: shown(group), reason, why: message },
      ending ? "the group snapshot can't go yet" : "the group snapshot waits",
    );
    if (ending) events.warning(kinds.snapshots, group, reason, message);
    else await fail(controller, group, error);
    throw tryAgain(reason);
  }
}

async function advance(controller: GroupController, given: VolumeGroupSnapshot): Promise<void> {
  const { groups, kinds } = controller;
  const group = await withGroupClass(controller, given);
  const { selector, volumeGroupSnapshotContentName: asked } = group.spec.source;
  if ((selector === undefined) === (asked === undefined)) {
    const message = "exactly one of selector and volumeGroupSnapshotContentName must be given";
    throw new Unfit("GroupSnapshotValidationError", message);
  }
  const bound = group.status?.boundVolumeGroupSnapshotContentName;
  const found = bound !== undefined ? groups.contents.get(bound) : findGroupContent(controller, group);
  if (bound !== undefined && found === undefined) {
    throw new Unfit("GroupSnapshotContentMissing", `its VolumeGroupSnapshotContent ${bound} does not exist any more`);
  }
  if (bound !== undefined && found !== undefined && !groupPointsBack(found, group)) {
    throw new Unfit(
      "GroupSnapshotMisbound",
      `its VolumeGroupSnapshotContent ${bound} is bound to another group snapshot`,
    );
  }
  if (found === undefined && asked !== undefined) {
    throw new Unfit("GroupSnapshotContentMissing", `there is no VolumeGroupSnapshotContent ${asked}`);
  }
  let content = found ?? (await makeGroupContent(controller, group));
  if (asked !== undefined) content = await bindGroup(controller, group, content);
  else await makeMembers(controller, group, content);
  await follow(controller, group, content);
  await withFinalizers(controller, kinds.snapshots, groups.snapshots, group, groupBoundProtection);
}

/** Writes what the content says. */
async function follow(
  controller: GroupController,
  group: VolumeGroupSnapshot,
  content: VolumeGroupSnapshotContent,
): Promise<void> {
  const { events, groups, kinds, log } = controller;
  const found = content.status ?? {};
  const ready = found.readyToUse ?? false;
  const newest = await changeStatus(controller, kinds.snapshots, groups.snapshots, group, (status) => {
    const change = {
      ...(status?.boundVolumeGroupSnapshotContentName === undefined && {
        boundVolumeGroupSnapshotContentName: content.metadata?.name,
      }),
      ...(status?.creationTime === undefined && found.creationTime && { creationTime: found.creationTime }),
      ...(status?.readyToUse !== ready && { readyToUse: ready }),
      ...(found.error?.message !== status?.error?.message && { error: found.error ?? null }),
    };
    return Object.keys(change).length === 0 ? undefined : change;
  });
  if (group.status?.creationTime === undefined && newest.status?.creationTime !== undefined) {
    const message = `GroupSnapshot ${shown(group)} was successfully created by the CSI driver.`;
    events.normal(kinds.snapshots, newest, "GroupSnapshotCreated", message);
  }
  if (group.status?.readyToUse !== true && newest.status?.readyToUse === true) {
    events.normal(kinds.snapshots, newest, "GroupSnapshotReady", `GroupSnapshot ${shown(group)} is ready to use.`);
    log.info({ group: shown(group), content: content.metadata?.name }, "the group snapshot is ready");
  }
}

async function fail(controller: GroupController, group: VolumeGroupSnapshot, unfit: Unfit): Promise<void> {
  const { events, groups, kinds } = controller;
  const { message, reason, unusable } = unfit;
  const { name = "", namespace } = group.metadata ?? {};
  const newest = groups.snapshots.get(name, namespace) ?? group;
  if (newest.status?.error?.message === message) return;
  events.warning(kinds.snapshots, newest, reason, message);
  await changeStatus(controller, kinds.snapshots, groups.snapshots, newest, (status) =>
    status?.error?.message === message
      ? undefined
      : { error: { message, time: timestamp() }, ...(unusable && { readyToUse: false }) },
  );
}

/** A group's content is protected once it is bound. Throws a Later for one that nobody can serve. */
export async function serveGroupContent(controller: GroupController, name: string): Promise<void> {
  const { events, groups, kinds } = controller;
  const content = groups.contents.get(name);
  if (content === undefined) return;
  const { source, volumeGroupSnapshotRef } = content.spec;
  if ((source.groupSnapshotHandles === undefined) === !source.volumeHandles?.length) {
    const reason = "GroupContentValidationError";
    events.warning(
      kinds.contents,
      content,
      reason,
      "exactly one of volumeHandles and groupSnapshotHandles must be given",
    );
    throw tryAgain(reason);
  }
  if (!volumeGroupSnapshotRef.uid || content.metadata?.deletionTimestamp !== undefined) return;
  try {
    await withFinalizers(controller, kinds.contents, groups.contents, content, groupContentProtection);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
