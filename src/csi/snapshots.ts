/** The controller's calls on snapshots. */
import type { ControllerRules } from "../volumes/api.ts";
import { map, need, page, requiredId, requiredName, snapshotId, unknowable, volumeId } from "./checks.ts";
import type { Handlers } from "./dispatch.ts";
import type { Controller } from "./gen/csi_pb.ts";
import { snapshotMessage } from "./translate.ts";

type SnapshotCalls = "createSnapshot" | "deleteSnapshot" | "getSnapshot" | "listSnapshots";

export function snapshotHandlers(rules: ControllerRules): Pick<Handlers<typeof Controller>, SnapshotCalls> {
  const { snapshots } = rules.features;
  return {
    createSnapshot: async (request, call) => {
      need(snapshots, call.rpc);
      const name = requiredName("name", request.name);
      const parameters = map("parameters", request.parameters);
      const sourceVolumeId = volumeId("source_volume_id", request.sourceVolumeId);
      return { snapshot: snapshotMessage(await rules.createSnapshot({ name, sourceVolumeId, parameters }, call)) };
    },

    deleteSnapshot: async (request, call) => {
      need(snapshots, call.rpc);
      const id = requiredId("snapshot_id", request.snapshotId);
      if (!unknowable(id)) await rules.removeSnapshot(id, call);
      return {};
    },

    getSnapshot: async (request, call) => {
      need(snapshots, call.rpc);
      const id = snapshotId("snapshot_id", request.snapshotId);
      return { snapshot: snapshotMessage(await rules.getSnapshot(id, call)) };
    },

    listSnapshots: async (request, call) => {
      need(snapshots, call.rpc);
      const wanted = page(request);
      // Filters by what cannot exist match nothing, which is no error (spec, ListSnapshots).
      if (unknowable(request.snapshotId) || unknowable(request.sourceVolumeId)) return { entries: [] };
      const asked = {
        ...wanted,
        ...(request.snapshotId === "" ? {} : { snapshotId: request.snapshotId }),
        ...(request.sourceVolumeId === "" ? {} : { sourceVolumeId: request.sourceVolumeId }),
      };
      const { entries, next } = await rules.listSnapshots(asked, call);
      return { entries: entries.map((view) => ({ snapshot: snapshotMessage(view) })), nextToken: next };
    },
  };
}
