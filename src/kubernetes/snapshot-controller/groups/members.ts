/** The snapshots of a group: one VolumeSnapshot with its content for each volume, made here once the driver has cut them. */
import { createHash } from "node:crypto";
import type { PersistentVolume } from "kubernetes-types/core/v1.js";
import { isAlreadyExists } from "../../api/api-error.ts";
import type { Informer } from "../../api/informer.ts";
import {
  type ApiObject,
  persistentVolumes,
  type Resource,
  volumeSnapshotContents,
  volumeSnapshots,
} from "../../api/resources.ts";
import type { VolumeGroupSnapshot, VolumeGroupSnapshotContent } from "../../api/snapshot-types.ts";
import {
  contentProtection,
  inGroupProtection,
  managedBy,
  memberOfGroup,
  secretName,
  secretNamespace,
} from "../../snapshots/names.ts";
import { secretOf } from "../../snapshots/parameters.ts";
import { changeStatus } from "../../snapshots/writer.ts";
import { boundContentOf, ownerOf, shown } from "../relations.ts";
import type { GroupController } from "./context.ts";

type Info = NonNullable<NonNullable<VolumeGroupSnapshotContent["status"]>["volumeSnapshotInfoList"]>[number];

/** Makes those that are missing. May be repeated. Nothing before the driver has cut the group. */
export async function makeMembers(
  controller: GroupController,
  group: VolumeGroupSnapshot,
  content: VolumeGroupSnapshotContent,
): Promise<void> {
  const { volumeSnapshotInfoList: list = [], volumeGroupSnapshotHandle: handle } = content.status ?? {};
  if (list.length === 0 || handle === undefined) return;
  const { contents, snapshots } = controller;
  const names = list.map(({ volumeHandle = "" }) => hashOf(group, volumeHandle));
  const whole = names.every((hash) => {
    const snapshot = snapshots.get(`snapshot-${hash}`, group.metadata?.namespace);
    return snapshot && boundContentOf(snapshot) && contents.get(`snapcontent-${hash}`)?.status?.snapshotHandle;
  });
  if (whole) return;
  const volumes = await controller.api.list(persistentVolumes);
  for (const info of list) {
    const of = volumes.find(
      ({ spec }) => spec?.csi?.driver === content.spec.driver && spec.csi.volumeHandle === info.volumeHandle,
    );
    await makeMember(controller, group, content, info, of);
  }
}

/** As upstream names them (external-snapshotter, pkg/common-controller), so that either finds the other's. */
const hashOf = ({ metadata }: VolumeGroupSnapshot, volumeHandle: string): string =>
  createHash("sha256").update(`${metadata?.uid}${volumeHandle}`).digest("hex");

async function makeMember(
  controller: GroupController,
  group: VolumeGroupSnapshot,
  groupContent: VolumeGroupSnapshotContent,
  info: Info,
  volume: PersistentVolume | undefined,
): Promise<void> {
  const { api, contents, groupClasses, kinds, log, snapshots } = controller;
  const { name: groupName = "", namespace = "", uid = "" } = group.metadata ?? {};
  const volumeHandle = info.volumeHandle ?? "";
  const hash = hashOf(group, volumeHandle);
  const [name, contentName] = [`snapshot-${hash}`, `snapcontent-${hash}`];
  const parameters = groupClasses.get(group.spec.volumeGroupSnapshotClassName ?? "")?.parameters;
  const secret = secretOf(
    "group-snapshotter",
    parameters,
    {
      "volumegroupsnapshotcontent.name": groupContent.metadata?.name ?? "",
      "volumegroupsnapshot.namespace": namespace,
    },
    { "volumegroupsnapshot.name": groupName },
  );
  const handle = groupContent.status?.volumeGroupSnapshotHandle ?? "";
  const node = groupContent.metadata?.labels?.[managedBy];
  const content = await createOrGet(api, volumeSnapshotContents, contents, {
    metadata: {
      name: contentName,
      finalizers: [contentProtection],
      ...(node !== undefined && { labels: { [managedBy]: node } }),
      annotations: {
        [memberOfGroup]: handle,
        ...(secret && { [secretName]: secret.name ?? "", [secretNamespace]: secret.namespace ?? "" }),
      },
    },
    spec: {
      deletionPolicy: groupContent.spec.deletionPolicy,
      driver: groupContent.spec.driver,
      source: { volumeHandle },
      ...(volume?.spec?.volumeMode !== undefined && { sourceVolumeMode: volume.spec.volumeMode }),
      volumeSnapshotRef: { kind: "VolumeSnapshot", name, namespace },
    },
  });
  const snapshot = await createOrGet(api, volumeSnapshots, snapshots, {
    metadata: {
      name,
      namespace,
      finalizers: [inGroupProtection],
      ownerReferences: [ownerOf(kinds.snapshots, groupName, uid)],
    },
    spec: { source: { persistentVolumeClaimName: volume?.spec?.claimRef?.name ?? "" } },
  });
  if (content.spec.volumeSnapshotRef.uid !== snapshot.metadata?.uid) {
    const bound = { spec: { volumeSnapshotRef: { uid: snapshot.metadata?.uid } } };
    contents.put(await api.patch(volumeSnapshotContents, { name: contentName }, bound));
  }
  await changeStatus(controller, volumeSnapshots, snapshots, snapshot, (status) =>
    status?.boundVolumeSnapshotContentName === undefined ? { boundVolumeSnapshotContentName: contentName } : undefined,
  );
  const { snapshotHandle, creationTime, restoreSize, readyToUse } = info;
  await changeStatus(controller, volumeSnapshotContents, contents, contents.get(contentName) ?? content, (status) =>
    status?.snapshotHandle === undefined
      ? { snapshotHandle, volumeGroupSnapshotHandle: handle, creationTime, restoreSize, readyToUse }
      : undefined,
  );
  log.info({ group: shown(group), snapshot: shown(snapshot), content: contentName }, "the group has a snapshot");
}

async function createOrGet<T extends ApiObject>(
  api: GroupController["api"],
  resource: Resource<T>,
  informer: Informer<T>,
  object: T,
): Promise<T> {
  const { name = "", namespace } = object.metadata ?? {};
  let there: T;
  try {
    there = await api.create(resource, object);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    there = await api.get(resource, { name, ...(namespace !== undefined && { namespace }) });
  }
  informer.put(there);
  return there;
}
