/** Dynamic snapshots: the driver cuts them, and is asked again until they are ready. */
import type { Snapshot } from "../../csi/gen/csi_pb.ts";
import { type ApiObject, volumeSnapshotContents } from "../api/resources.ts";
import type { VolumeSnapshotClass, VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { explain, mayStillRun } from "../outcome.ts";
import { secretValues } from "../secret-values.ts";
import { beingCreated, secretName, secretNamespace } from "../snapshots/names.ts";
import { parametersForDriver } from "../snapshots/parameters.ts";
import { annotate, changeStatus } from "../snapshots/writer.ts";
import { beginCut } from "./begin-cut.ts";
import type { Snapshotter } from "./context.ts";
import { nextStep } from "./next-step.ts";
import { exactly, nanosecondsOf, subjectOf, told } from "./told.ts";

/**
 * Asks the driver for the snapshot and writes what it said. A repeat finds the same one, for its name follows from the
 * VolumeSnapshot. Throws what went wrong, the driver's CsiError among it; after one that is not final the mark of a
 * running create stays, so that the content is not let go before the driver has answered.
 */
export async function cut(snapshotter: Snapshotter, given: VolumeSnapshotContent): Promise<VolumeSnapshotContent> {
  const { csi, log, timeoutMs, signal, options } = snapshotter;
  const { uid } = given.spec.volumeSnapshotRef;
  const sourceVolumeId = given.spec.source.volumeHandle;
  if (!uid || sourceVolumeId === undefined) throw new Error("the content is not bound to a VolumeSnapshot");
  const parameters = parametersForDriver(classOf(snapshotter, given).parameters);
  if (options.extraCreateMetadata) Object.assign(parameters, metadataOf(given));
  const secrets = await secretsOf(snapshotter, given);
  const kind = { resource: volumeSnapshotContents, informer: snapshotter.contents };
  const content = await beginCut(snapshotter, kind, given, beingCreated, (now) => nextStep(now) === "cut");
  if (content === undefined) return snapshotter.contents.get(given.metadata?.name ?? "") ?? given;
  const name = `${options.namePrefix ?? "snapshot"}-${uid}`;
  let snapshot: Snapshot;
  try {
    snapshot = await told(
      log,
      subjectOf(content),
      "CreateSnapshot",
      "the driver has the snapshot",
      async () => {
        const request = { name, sourceVolumeId, parameters, secrets };
        return whole((await csi.controller.createSnapshot(request, { timeoutMs, signal })).snapshot);
      },
      ({ snapshotId, readyToUse }) => ({ handle: snapshotId, ready: readyToUse }),
    );
  } catch (error) {
    if (!mayStillRun(error)) await mark(snapshotter, content, null);
    throw error;
  }
  const found = await changeStatus(snapshotter, volumeSnapshotContents, snapshotter.contents, content, (status) =>
    foundStatus(status, snapshot),
  );
  return mark(snapshotter, found, null);
}

/** Sets or removes the mark of a create without a final answer. */
export const mark = (snapshotter: Snapshotter, content: VolumeSnapshotContent, value: "yes" | null) =>
  annotate(snapshotter, volumeSnapshotContents, snapshotter.contents, content, beingCreated, value);

/** What the status is to say of a snapshot as the driver described it; undefined: it says so already. */
export function foundStatus(
  status: VolumeSnapshotContent["status"],
  { snapshotId, creationTime, sizeBytes, readyToUse, groupSnapshotId }: Omit<Snapshot, "$typeName" | "sourceVolumeId">,
): object | undefined {
  const change = {
    ...(status?.snapshotHandle === undefined && { snapshotHandle: snapshotId }),
    ...(status?.creationTime === undefined && { creationTime: exactly(nanosecondsOf(creationTime)) }),
    ...(status?.restoreSize === undefined && sizeBytes > 0n && { restoreSize: Number(sizeBytes) }),
    ...(status?.readyToUse !== readyToUse && { readyToUse }),
    ...(readyToUse && status?.error !== undefined && { error: null }),
    ...(status?.volumeGroupSnapshotHandle === undefined &&
      groupSnapshotId !== "" && { volumeGroupSnapshotHandle: groupSnapshotId }),
  };
  return Object.keys(change).length === 0 ? undefined : change;
}

/** The secrets for calls about this content, as the snapshot-controller noted them on it. */
export const secretsOf = ({ api }: Snapshotter, content: VolumeSnapshotContent): Promise<Record<string, string>> =>
  notedSecrets(api, content, secretName, secretNamespace);

/** The secret that two annotations of an object name; none: no secrets. */
export async function notedSecrets(
  api: Snapshotter["api"],
  { metadata }: ApiObject,
  nameKey: string,
  namespaceKey: string,
): Promise<Record<string, string>> {
  const name = metadata?.annotations?.[nameKey];
  const namespace = metadata?.annotations?.[namespaceKey];
  if (name === undefined && namespace === undefined) return {};
  if (!name || !namespace) throw new Error(`the content needs both annotations ${nameKey} and ${namespaceKey}`);
  return readSecret(api, { name, namespace });
}

/** Absent `ref`: none. Throws which one can't be read, and why. */
export async function readSecret(
  api: Snapshotter["api"],
  ref: { readonly name?: string; readonly namespace?: string } | undefined,
): Promise<Record<string, string>> {
  try {
    return await secretValues(api, ref);
  } catch (cause) {
    throw new Error(`the secret ${ref?.namespace}/${ref?.name} can't be read: ${explain(cause)}`, { cause });
  }
}

export function classOf({ classes }: Snapshotter, { spec }: VolumeSnapshotContent): VolumeSnapshotClass {
  const name = spec.volumeSnapshotClassName;
  if (name === undefined) throw new Error("the content names no VolumeSnapshotClass");
  const found = classes.get(name);
  if (found === undefined) throw new Error(`there is no VolumeSnapshotClass ${name}`);
  return found;
}

export function whole(snapshot: Snapshot | undefined): Snapshot {
  if (!snapshot?.snapshotId) throw new Error("the driver's answer names no snapshot");
  return snapshot;
}

const metadataOf = ({ metadata, spec }: VolumeSnapshotContent) => ({
  "csi.storage.k8s.io/volumesnapshot/name": spec.volumeSnapshotRef.name,
  "csi.storage.k8s.io/volumesnapshot/namespace": spec.volumeSnapshotRef.namespace,
  "csi.storage.k8s.io/volumesnapshotcontent/name": metadata?.name ?? "",
});
