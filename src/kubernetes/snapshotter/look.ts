/** Snapshots that somebody else made, an administrator or a group: are they there, and ready? */
import type { Snapshot } from "../../csi/gen/csi_pb.ts";
import { volumeSnapshotContents } from "../api/resources.ts";
import type { VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { secretOf } from "../snapshots/parameters.ts";
import { changeStatus } from "../snapshots/writer.ts";
import type { Snapshotter } from "./context.ts";
import { classOf, foundStatus, readSecret, secretsOf, whole } from "./cut.ts";
import { subjectOf, told } from "./told.ts";

/** Asks the driver and writes what it said. Throws when there is no such snapshot, and the driver's CsiError. */
export async function look(snapshotter: Snapshotter, content: VolumeSnapshotContent): Promise<VolumeSnapshotContent> {
  const snapshotId = content.status?.snapshotHandle ?? content.spec.source.snapshotHandle ?? "";
  const snapshot = await find(snapshotter, content, snapshotId);
  return changeStatus(snapshotter, volumeSnapshotContents, snapshotter.contents, content, (status) =>
    foundStatus(status, snapshot),
  );
}

async function find(
  snapshotter: Snapshotter,
  content: VolumeSnapshotContent,
  snapshotId: string,
): Promise<Omit<Snapshot, "$typeName" | "sourceVolumeId">> {
  const { csi, driver, log, timeoutMs, signal } = snapshotter;
  const limits = { timeoutMs, signal };
  const tell = (rpc: string, call: () => Promise<Snapshot>) =>
    told(log, subjectOf(content), rpc, "the driver knows the snapshot", call, ({ readyToUse }) => ({
      ready: readyToUse,
    }));
  if (driver.controller.has("LIST_SNAPSHOTS")) {
    const secrets = await secretsForLooking(snapshotter, content);
    return tell("ListSnapshots", async () => {
      const { entries } = await csi.controller.listSnapshots({ snapshotId, secrets }, limits);
      if (entries.length === 0) throw new Error(`the driver has no snapshot ${snapshotId}`);
      return whole(entries[0]?.snapshot);
    });
  }
  if (driver.controller.has("GET_SNAPSHOT")) {
    const secrets = await secretsForLooking(snapshotter, content);
    return tell("GetSnapshot", async () =>
      whole((await csi.controller.getSnapshot({ snapshotId, secrets }, limits)).snapshot),
    );
  }
  // Who can't be asked is believed (external-snapshotter, pkg/snapshotter).
  return { snapshotId, readyToUse: true, sizeBytes: 0n, groupSnapshotId: "", creationTime: undefined };
}

/** Those that the class names for it; a member of a group has no class, and uses the group's. */
async function secretsForLooking(
  snapshotter: Snapshotter,
  content: VolumeSnapshotContent,
): Promise<Record<string, string>> {
  if (content.status?.volumeGroupSnapshotHandle !== undefined) return secretsOf(snapshotter, content);
  if (content.spec.volumeSnapshotClassName === undefined) return {};
  const { name, namespace } = content.spec.volumeSnapshotRef;
  const names = { "volumesnapshotcontent.name": content.metadata?.name ?? "", "volumesnapshot.namespace": namespace };
  const secret = secretOf("snapshotter-list", classOf(snapshotter, content).parameters, names, {
    "volumesnapshot.name": name,
  });
  return readSecret(snapshotter.api, secret);
}
