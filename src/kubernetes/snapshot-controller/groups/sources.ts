/** The volumes of which a group snapshot is to be, and its class. */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { claims } from "../../api/resources.ts";
import type { VolumeGroupSnapshot } from "../../api/snapshot-types.ts";
import { explain } from "../../outcome.ts";
import { isDefaultGroupClass } from "../../snapshots/names.ts";
import { Unfit } from "../../snapshots/told.ts";
import { refOf } from "../relations.ts";
import { volumeOf } from "../source.ts";
import type { GroupController } from "./context.ts";

type Volume = Awaited<ReturnType<typeof volumeOf>>;
type Selector = NonNullable<VolumeGroupSnapshot["spec"]["source"]["selector"]>;

/** The volumes of all claims that the group selects. Throws what is missing. */
export async function volumesOf(controller: GroupController, group: VolumeGroupSnapshot): Promise<readonly Volume[]> {
  const labelSelector = shown(group.spec.source.selector ?? {});
  const { namespace } = refOf(group);
  const selected: PersistentVolumeClaim[] = await controller.api.list(claims, { namespace, labelSelector });
  if (selected.length === 0) throw new Error(`no claim has the labels ${labelSelector}`);
  const volumes: Volume[] = [];
  for (const claim of selected) volumes.push(await volumeOf(controller, claim));
  return volumes;
}

/** As the API takes it in a query. */
function shown({ matchLabels = {}, matchExpressions = [] }: Selector): string {
  const parts = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  for (const { key, operator, values = [] } of matchExpressions) {
    if (operator === "Exists") parts.push(key);
    else if (operator === "DoesNotExist") parts.push(`!${key}`);
    else parts.push(`${key} ${operator.toLowerCase()} (${values.join(",")})`);
  }
  return parts.join(",");
}

/** The group with its class; one for snapshots that exist needs none. Throws an Unfit. */
export async function withGroupClass(
  controller: GroupController,
  group: VolumeGroupSnapshot,
): Promise<VolumeGroupSnapshot> {
  const { api, kinds, groups, groupClasses } = controller;
  const named = group.spec.volumeGroupSnapshotClassName;
  if (named !== undefined) {
    if (groupClasses.get(named) !== undefined) return group;
    throw new Unfit("GetGroupSnapshotClassFailed", `there is no VolumeGroupSnapshotClass ${named}`, false);
  }
  if (group.spec.source.volumeGroupSnapshotContentName !== undefined) return group;
  let volumeGroupSnapshotClassName: string;
  try {
    const [volume] = await volumesOf(controller, group);
    volumeGroupSnapshotClassName = defaultFor(controller, volume?.spec.csi.driver ?? "");
  } catch (cause) {
    const message = `no class is named, and ${explain(cause)}`;
    throw new Unfit("SetDefaultGroupSnapshotClassFailed", message, false, { cause });
  }
  const { uid, resourceVersion } = group.metadata ?? {};
  const patch = { metadata: { uid, resourceVersion }, spec: { volumeGroupSnapshotClassName } };
  const written = await api.patch(kinds.snapshots, refOf(group), patch);
  groups.snapshots.put(written);
  return written;
}

function defaultFor({ groupClasses }: GroupController, driver: string): string {
  const defaults = [...groupClasses.all()].filter(
    (each) => each.driver === driver && each.metadata?.annotations?.[isDefaultGroupClass] === "true",
  );
  const [only, other] = defaults.map(({ metadata }) => metadata?.name ?? "");
  if (only === undefined) throw new Error(`no VolumeGroupSnapshotClass of ${driver} is marked as the default`);
  if (other !== undefined) throw new Error(`${defaults.length} classes of ${driver} are marked as the default`);
  return only;
}
