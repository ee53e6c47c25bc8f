/** The status of a snapshot: what its content says, or what is wrong. */
import { volumeSnapshots } from "../api/resources.ts";
import type { VolumeSnapshot, VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { quantityOf } from "../quantity.ts";
import { timestamp, type Unfit } from "../snapshots/told.ts";
import { changeStatus } from "../snapshots/writer.ts";
import type { Controller } from "./context.ts";
import { isReady, shown } from "./relations.ts";

type Status = VolumeSnapshot["status"];

/** Writes what the content says. Gives back the newest version. */
export async function follow(
  controller: Controller,
  snapshot: VolumeSnapshot,
  content: VolumeSnapshotContent,
): Promise<VolumeSnapshot> {
  const { events, log, snapshots, groups } = controller;
  const handle = content.status?.volumeGroupSnapshotHandle;
  const [group] = handle === undefined ? [] : (groups?.contents.by("handle", handle) ?? []);
  if (handle !== undefined && group === undefined)
    throw new Error(`no VolumeGroupSnapshotContent has the handle ${handle}`);
  const newest = await changeStatus(controller, volumeSnapshots, snapshots, snapshot, (status) =>
    followed(status, content, group?.spec.volumeGroupSnapshotRef.name),
  );
  const what = shown(snapshot);
  if (snapshot.status?.creationTime === undefined && newest.status?.creationTime !== undefined) {
    const message = `Snapshot ${what} was successfully created by the CSI driver.`;
    events.normal(volumeSnapshots, newest, "SnapshotCreated", message);
  }
  if (!isReady(snapshot) && isReady(newest)) {
    events.normal(volumeSnapshots, newest, "SnapshotReady", `Snapshot ${what} is ready to use.`);
    log.info({ snapshot: what, content: content.metadata?.name }, "the snapshot is ready");
  }
  return newest;
}

/** Exported for its test. Undefined: the status says so already. */
export function followed(
  status: Status,
  { metadata, status: found = {} }: VolumeSnapshotContent,
  volumeGroupSnapshotName?: string,
): object | undefined {
  const ready = found.readyToUse ?? false;
  const { restoreSize, creationTime, error } = found;
  const noSize = status?.restoreSize === undefined || status.restoreSize === "0";
  const change = {
    ...(status?.boundVolumeSnapshotContentName === undefined && { boundVolumeSnapshotContentName: metadata?.name }),
    ...(status?.creationTime === undefined &&
      creationTime !== undefined && { creationTime: timestamp(Math.floor(creationTime / 1_000_000)) }),
    ...(status?.readyToUse !== ready && { readyToUse: ready }),
    ...(noSize &&
      restoreSize !== undefined &&
      quantityOf(BigInt(restoreSize)) !== status?.restoreSize && { restoreSize: quantityOf(BigInt(restoreSize)) }),
    ...(error?.message !== status?.error?.message && { error: error ?? null }),
    ...(volumeGroupSnapshotName !== undefined &&
      status?.volumeGroupSnapshotName === undefined && { volumeGroupSnapshotName }),
  };
  return Object.keys(change).length === 0 ? undefined : change;
}

/** Says what is wrong on the snapshot, once for the same words. */
export async function fail(controller: Controller, snapshot: VolumeSnapshot, unfit: Unfit): Promise<void> {
  const { events, snapshots } = controller;
  const { message, reason, unusable } = unfit;
  const { name = "", namespace } = snapshot.metadata ?? {};
  const newest = snapshots.get(name, namespace) ?? snapshot;
  if (newest.status?.error?.message === message) return;
  events.warning(volumeSnapshots, newest, reason, message);
  await changeStatus(controller, volumeSnapshots, snapshots, newest, (status) =>
    status?.error?.message === message
      ? undefined
      : { error: { message, time: timestamp() }, ...(unusable && { readyToUse: false }) },
  );
}
