/** What the part for group snapshots is given, and what all of it needs. */
import type { Informer } from "../api/informer.ts";
import type { VolumeGroupSnapshotClass, VolumeGroupSnapshotContent } from "../api/snapshot-types.ts";
import type { GroupKinds } from "../snapshots/kinds.ts";
import { groupBeingCreated, groupSecretName, groupSecretNamespace } from "../snapshots/names.ts";
import { annotate } from "../snapshots/writer.ts";
import type { Snapshotter } from "./context.ts";
import { notedSecrets } from "./cut.ts";

export interface GroupSnapshotter extends Snapshotter {
  readonly kinds: GroupKinds;
  readonly groupContents: Informer<VolumeGroupSnapshotContent>;
  readonly groupClasses: Informer<VolumeGroupSnapshotClass>;
}

/** What each line about a group's content carries. */
export const groupSubjectOf = ({ metadata, spec }: VolumeGroupSnapshotContent): object => ({
  group: `${spec.volumeGroupSnapshotRef.namespace}/${spec.volumeGroupSnapshotRef.name}`,
  content: metadata?.name,
});

/** Sets or removes the mark of a create without a final answer. */
export const mark = (snapshotter: GroupSnapshotter, content: VolumeGroupSnapshotContent, value: "yes" | null) =>
  annotate(snapshotter, snapshotter.kinds.contents, snapshotter.groupContents, content, groupBeingCreated, value);

/** The secrets for calls about this content, as the snapshot-controller noted them on it. */
export const secretsOf = ({ api }: GroupSnapshotter, content: VolumeGroupSnapshotContent) =>
  notedSecrets(api, content, groupSecretName, groupSecretNamespace);

export function classOf(
  { groupClasses }: GroupSnapshotter,
  { spec }: VolumeGroupSnapshotContent,
): VolumeGroupSnapshotClass {
  const name = spec.volumeGroupSnapshotClassName;
  if (name === undefined) throw new Error("the content names no VolumeGroupSnapshotClass");
  const found = groupClasses.get(name);
  if (found === undefined) throw new Error(`there is no VolumeGroupSnapshotClass ${name}`);
  return found;
}
