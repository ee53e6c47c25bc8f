/** What is to be done for a content now, by what is on it. */
import type { VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { beingCreated, beingDeleted, memberOfGroup } from "../snapshots/names.ts";

/**
 * `cut`: the driver takes the snapshot, or says again what became of it. `look`: a snapshot that somebody else made: is it
 * ready? `delete`: on the storage, then `release`: the content may go. `settle`: all is done but for a mark of ours. `wait`: for its
 * group, which makes it.
 */
export type Step = "cut" | "look" | "delete" | "release" | "settle" | "wait" | "nothing";

export function nextStep({ metadata, spec, status }: VolumeSnapshotContent): Step {
  const annotations = metadata?.annotations ?? {};
  const { source, volumeSnapshotRef } = spec;
  if (metadata?.deletionTimestamp !== undefined) {
    const unbound = source.snapshotHandle !== undefined && !volumeSnapshotRef.uid;
    // A create without a final answer goes on first: what it makes would be left without a content.
    if (unbound || (annotations[beingCreated] === undefined && annotations[beingDeleted] !== undefined)) {
      const ours = status?.snapshotHandle !== undefined && status.volumeGroupSnapshotHandle === undefined;
      return spec.deletionPolicy === "Delete" && ours ? "delete" : "release";
    }
  }
  if (status?.readyToUse === true) return annotations[beingCreated] === undefined ? "nothing" : "settle";
  if (source.snapshotHandle !== undefined) return "look";
  if (status?.volumeGroupSnapshotHandle !== undefined && status.snapshotHandle !== undefined) return "look";
  if (annotations[memberOfGroup] !== undefined) return "wait";
  return source.volumeHandle === undefined ? "nothing" : "cut";
}
