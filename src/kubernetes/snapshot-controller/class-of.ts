/** The class of a snapshot: the one that it names, or the default of its volume's driver, which is then written into it. */
import { volumeSnapshots } from "../api/resources.ts";
import type { VolumeSnapshot } from "../api/snapshot-types.ts";
import { explain } from "../outcome.ts";
import { isDefaultClass } from "../snapshots/names.ts";
import { Unfit } from "../snapshots/told.ts";
import type { Controller } from "./context.ts";
import { isMember, refOf } from "./relations.ts";
import { claimOf, volumeOf } from "./source.ts";

/** The snapshot with its class; one that exists already, or that its group makes, needs none. Throws an Unfit. */
export async function withClass(controller: Controller, snapshot: VolumeSnapshot): Promise<VolumeSnapshot> {
  const { api, classes, snapshots } = controller;
  const named = snapshot.spec.volumeSnapshotClassName;
  if (named !== undefined) {
    if (classes.get(named) !== undefined) return snapshot;
    throw new Unfit("GetSnapshotClassFailed", `there is no VolumeSnapshotClass ${named}`, false);
  }
  if (snapshot.spec.source.volumeSnapshotContentName !== undefined || isMember(snapshot)) return snapshot;
  let volumeSnapshotClassName: string;
  try {
    const { spec } = await volumeOf(controller, claimOf(controller, snapshot));
    volumeSnapshotClassName = defaultFor(controller, spec.csi.driver);
  } catch (cause) {
    throw new Unfit("SetDefaultSnapshotClassFailed", `no class is named, and ${explain(cause)}`, false, { cause });
  }
  const written = await api.patch(volumeSnapshots, refOf(snapshot), {
    metadata: { uid: snapshot.metadata?.uid, resourceVersion: snapshot.metadata?.resourceVersion },
    spec: { volumeSnapshotClassName },
  });
  snapshots.put(written);
  return written;
}

function defaultFor({ classes }: Controller, driver: string): string {
  const defaults = [...classes.all()].filter(
    (each) => each.driver === driver && each.metadata?.annotations?.[isDefaultClass] === "true",
  );
  const [only, other] = defaults.map(({ metadata }) => metadata?.name ?? "");
  if (only === undefined) throw new Error(`no VolumeSnapshotClass of ${driver} is marked as the default`);
  if (other !== undefined) throw new Error(`${defaults.length} classes of ${driver} are marked as the default`);
  return only;
}
