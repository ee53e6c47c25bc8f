/** What is to be done for a group's content now, by what is on it. As `nextStep`, but a group waits for nobody. */
import type { VolumeGroupSnapshotContent } from "../api/snapshot-types.ts";
import { groupBeingCreated, groupBeingDeleted } from "../snapshots/names.ts";
import type { Step } from "./next-step.ts";

export function nextGroupStep({ metadata, spec, status }: VolumeGroupSnapshotContent): Exclude<Step, "wait"> {
  const annotations = metadata?.annotations ?? {};
  const existing = spec.source.groupSnapshotHandles !== undefined;
  if (metadata?.deletionTimestamp !== undefined) {
    const unbound = existing && !spec.volumeGroupSnapshotRef.uid;
    const told = annotations[groupBeingCreated] === undefined && annotations[groupBeingDeleted] !== undefined;
    if (unbound || told) {
      return spec.deletionPolicy === "Delete" && status?.volumeGroupSnapshotHandle !== undefined ? "delete" : "release";
    }
  }
  if (status?.readyToUse === true) return annotations[groupBeingCreated] === undefined ? "nothing" : "settle";
  if (existing) return "look";
  return spec.source.volumeHandles?.length ? "cut" : "nothing";
}
