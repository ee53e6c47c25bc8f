/** The content that a snapshot has or asks for. */
import { volumeSnapshotContents } from "../api/resources.ts";
import type { VolumeSnapshot, VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { Unfit } from "../snapshots/told.ts";
import type { Controller } from "./context.ts";
import { contentNameFor, pointsBack, refOf } from "./relations.ts";

/** Undefined: there is none yet. Throws an Unfit for one that is another's, or of the other kind. */
export function findContent({ contents }: Controller, snapshot: VolumeSnapshot): VolumeSnapshotContent | undefined {
  const asked = snapshot.spec.source.volumeSnapshotContentName;
  const name = asked ?? contentNameFor(snapshot);
  const content = contents.get(name);
  if (content === undefined) return undefined;
  const { source, volumeSnapshotRef } = content.spec;
  const existed = source.snapshotHandle !== undefined;
  if (existed !== (asked !== undefined)) {
    const what = existed
      ? "is for a snapshot that existed before, and one of a claim is asked for"
      : "was made for a snapshot of a claim, and one for a snapshot that existed before is asked for";
    throw new Unfit("SnapshotContentMismatch", `the VolumeSnapshotContent ${name} ${what}`);
  }
  const { name: snapshotName, namespace } = refOf(snapshot);
  const unbound = existed && !volumeSnapshotRef.uid;
  const ours = unbound
    ? volumeSnapshotRef.name === snapshotName && volumeSnapshotRef.namespace === namespace
    : pointsBack(content, snapshot);
  if (!ours)
    throw new Unfit("SnapshotContentMisbound", `the VolumeSnapshotContent ${name} is bound to another snapshot`);
  return content;
}

/** Binds a content for a snapshot that existed before to the snapshot that asks for it. Nothing is written when it is. */
export async function bind(
  { api, contents, log }: Controller,
  snapshot: VolumeSnapshot,
  content: VolumeSnapshotContent,
): Promise<VolumeSnapshotContent> {
  const className = snapshot.spec.volumeSnapshotClassName;
  const { volumeSnapshotRef, volumeSnapshotClassName } = content.spec;
  if (volumeSnapshotRef.uid && (volumeSnapshotClassName !== undefined || className === undefined)) return content;
  const bound = await api.patch(
    volumeSnapshotContents,
    { name: content.metadata?.name ?? "" },
    {
      metadata: { uid: content.metadata?.uid, resourceVersion: content.metadata?.resourceVersion },
      spec: {
        volumeSnapshotRef: { uid: snapshot.metadata?.uid },
        ...(className !== undefined && { volumeSnapshotClassName: className }),
      },
    },
  );
  contents.put(bound);
  const { name, namespace } = refOf(snapshot);
  log.info(
    { snapshot: `${namespace}/${name}`, content: content.metadata?.name },
    "the snapshot is bound to its content",
  );
  return bound;
}
