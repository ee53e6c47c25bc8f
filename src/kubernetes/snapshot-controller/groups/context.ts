/** What the part for group snapshots is given. */
import type { Informer } from "../../api/informer.ts";
import type { VolumeGroupSnapshotClass } from "../../api/snapshot-types.ts";
import type { GroupKinds } from "../../snapshots/kinds.ts";
import type { Controller, GroupInformers } from "../context.ts";

export interface GroupController extends Controller {
  readonly kinds: GroupKinds;
  readonly groups: GroupInformers;
  readonly groupClasses: Informer<VolumeGroupSnapshotClass>;
}
