/** The node's calls, each translated to the rules and back. */
import type { Features, NodeRules, Usage } from "../volumes/api.ts";
import {
  capacityRange,
  lookedUpPath,
  map,
  need,
  optionalPath,
  requiredId,
  requiredPath,
  unknowable,
  volumeId,
} from "./checks.ts";
import type { Handlers } from "./dispatch.ts";
import { type Node, NodeServiceCapability_RPC_Type as Type, VolumeUsage_Unit as Unit } from "./gen/csi_pb.ts";
import { requiredCapability } from "./translate.ts";

export function nodeHandlers(rules: NodeRules, features: Features): Handlers<typeof Node> {
  const types = [
    Type.STAGE_UNSTAGE_VOLUME,
    Type.GET_VOLUME_STATS,
    Type.SINGLE_NODE_MULTI_WRITER,
    ...(features.expand ? [Type.EXPAND_VOLUME] : []),
  ];
  const offered = types.map((type) => ({ type: { case: "rpc" as const, value: { type } } }));
  return {
    nodeGetCapabilities: async () => ({ capabilities: offered }),

    nodeGetInfo: async () => {
      const { nodeId, maxVolumes, topology } = rules.info();
      return {
        nodeId,
        maxVolumesPerNode: BigInt(maxVolumes),
        ...(topology === undefined ? {} : { accessibleTopology: { segments: { ...topology } } }),
      };
    },

    nodeStageVolume: async (request, call) => {
      requiredId("volume_id", request.volumeId);
      const asked = {
        stagingPath: requiredPath("staging_target_path", request.stagingTargetPath),
        capability: requiredCapability("volume_capability", request.volumeCapability),
        context: map("volume_context", request.volumeContext),
        publishContext: map("publish_context", request.publishContext),
      };
      await rules.stage({ id: volumeId("volume_id", request.volumeId), ...asked }, call);
      return {};
    },

    nodeUnstageVolume: async (request, call) => {
      const id = requiredId("volume_id", request.volumeId);
      const stagingPath = requiredPath("staging_target_path", request.stagingTargetPath);
      if (!unknowable(id)) await rules.unstage({ id, stagingPath }, call);
      return {};
    },

    nodePublishVolume: async (request, call) => {
      requiredId("volume_id", request.volumeId);
      const asked = {
        // That one is missing is FAILED_PRECONDITION where the volume must be staged, so the rules say it.
        stagingPath: optionalPath("staging_target_path", request.stagingTargetPath),
        targetPath: requiredPath("target_path", request.targetPath),
        capability: requiredCapability("volume_capability", request.volumeCapability),
        readonly: request.readonly,
        context: map("volume_context", request.volumeContext),
        publishContext: map("publish_context", request.publishContext),
      };
      await rules.publish({ id: volumeId("volume_id", request.volumeId), ...asked }, call);
      return {};
    },

    nodeUnpublishVolume: async (request, call) => {
      const id = requiredId("volume_id", request.volumeId);
      const targetPath = requiredPath("target_path", request.targetPath);
      if (!unknowable(id)) await rules.unpublish({ id, targetPath }, call);
      return {};
    },

    nodeGetVolumeStats: async (request, call) => {
      requiredId("volume_id", request.volumeId);
      const path = lookedUpPath("volume_path", request.volumePath);
      const stagingPath = request.stagingTargetPath && lookedUpPath("staging_target_path", request.stagingTargetPath);
      const usage = await rules.stats({ id: volumeId("volume_id", request.volumeId), path, stagingPath }, call);
      return { usage: usage.map(usageMessage) };
    },

    nodeExpandVolume: async (request, call) => {
      need(features.expand, call.rpc);
      requiredId("volume_id", request.volumeId);
      const path = lookedUpPath("volume_path", request.volumePath);
      const stagingPath = request.stagingTargetPath && lookedUpPath("staging_target_path", request.stagingTargetPath);
      const capacity = capacityRange("capacity_range", request.capacityRange);
      const capability = request.volumeCapability && requiredCapability("volume_capability", request.volumeCapability);
      const id = volumeId("volume_id", request.volumeId);
      const asked = { id, path, stagingPath, capacity, ...(capability === undefined ? {} : { capability }) };
      return { capacityBytes: BigInt(await rules.expand(asked, call)) };
    },
  };
}

function usageMessage({ unit, total, available, used }: Usage) {
  return { unit: Unit[unit], total: BigInt(total), available: BigInt(available), used: BigInt(used) };
}
