/** The controller's calls, each translated to the rules and back. Capabilities follow from the features of the pools. */
import { Problem } from "../pools/problem.ts";
import type { ControllerRules, Features } from "../volumes/api.ts";
import {
  capacityRange,
  map,
  need,
  optionalNodeId,
  page,
  requiredCapacityRange,
  requiredId,
  requiredName,
  requiredNodeId,
  unknowable,
  volumeId,
} from "./checks.ts";
import type { Handlers } from "./dispatch.ts";
import { type Controller, ControllerServiceCapability_RPC_Type as Type } from "./gen/csi_pb.ts";
import { snapshotHandlers } from "./snapshots.ts";
import {
  capabilities,
  contentSource,
  requiredCapabilities,
  requiredCapability,
  topology,
  volumeMessage,
} from "./translate.ts";

export function controllerHandlers(rules: ControllerRules): Handlers<typeof Controller> {
  const { features } = rules;
  const offered = capabilityTypes(features).map((type) => ({ type: { case: "rpc" as const, value: { type } } }));
  return {
    ...snapshotHandlers(rules),

    controllerGetCapabilities: async () => ({ capabilities: offered }),

    createVolume: async (request, call) => {
      const source = contentSource("volume_content_source", request.volumeContentSource);
      const wanted = topology("accessibility_requirements", request.accessibilityRequirements);
      const asked = {
        name: requiredName("name", request.name),
        capacity: capacityRange("capacity_range", request.capacityRange),
        capabilities: requiredCapabilities("volume_capabilities", request.volumeCapabilities),
        parameters: {
          ...map("parameters", request.parameters),
          ...map("mutable_parameters", request.mutableParameters),
        },
        ...(source === undefined ? {} : { source }),
        ...(wanted === undefined ? {} : { topology: wanted }),
      };
      if (source !== undefined && !("snapshotId" in source ? features.snapshots : features.clones)) {
        throw new Problem("SOURCE_UNSUPPORTED", "no configured pool makes volumes from volume_content_source");
      }
      return { volume: volumeMessage(await rules.create(asked, call)) };
    },

    deleteVolume: async (request, call) => {
      const id = requiredId("volume_id", request.volumeId);
      if (!unknowable(id)) await rules.remove(id, call);
      return {};
    },

    controllerPublishVolume: async (request, call) => {
      need(features.attach, call.rpc);
      const nodeId = requiredNodeId("node_id", request.nodeId);
      const capability = requiredCapability("volume_capability", request.volumeCapability);
      const context = map("volume_context", request.volumeContext);
      const id = volumeId("volume_id", request.volumeId);
      const { readonly } = request;
      return { publishContext: { ...(await rules.attach({ id, nodeId, capability, readonly, context }, call)) } };
    },

    controllerUnpublishVolume: async (request, call) => {
      need(features.attach, call.rpc);
      const id = requiredId("volume_id", request.volumeId);
      const nodeId = optionalNodeId("node_id", request.nodeId);
      if (!unknowable(id)) await rules.detach({ id, nodeId }, call);
      return {};
    },

    validateVolumeCapabilities: async (request, call) => {
      requiredId("volume_id", request.volumeId);
      const asked = {
        capabilities: requiredCapabilities("volume_capabilities", request.volumeCapabilities),
        parameters: {
          ...map("parameters", request.parameters),
          ...map("mutable_parameters", request.mutableParameters),
        },
        context: map("volume_context", request.volumeContext),
      };
      const why = await rules.validate(volumeId("volume_id", request.volumeId), asked, call);
      if (why !== undefined) return { message: why };
      const { volumeContext, volumeCapabilities, parameters, mutableParameters } = request;
      return { confirmed: { volumeContext, volumeCapabilities, parameters, mutableParameters } };
    },

    listVolumes: async (request, call) => {
      const { entries, next } = await rules.list(page(request), call);
      return {
        entries: entries.map((view) => ({
          volume: volumeMessage(view),
          status: { publishedNodeIds: [...view.publishedNodes] },
        })),
        nextToken: next,
      };
    },

    controllerGetVolume: async (request, call) => {
      const view = await rules.get(volumeId("volume_id", request.volumeId), call);
      return { volume: volumeMessage(view), status: { publishedNodeIds: [...view.publishedNodes] } };
    },

    getCapacity: async (request, call) => {
      const segments = request.accessibleTopology?.segments;
      const asked = {
        capabilities: capabilities("volume_capabilities", request.volumeCapabilities),
        parameters: map("parameters", request.parameters),
        ...(segments === undefined ? {} : { topology: map("accessible_topology", segments) }),
      };
      const { available, maximum, minimum } = await rules.capacity(asked, call);
      return {
        availableCapacity: BigInt(available),
        maximumVolumeSize: BigInt(maximum),
        minimumVolumeSize: BigInt(minimum),
      };
    },

    controllerExpandVolume: async (request, call) => {
      need(features.expand && !features.expandsOnNode, call.rpc);
      requiredId("volume_id", request.volumeId);
      const capacity = requiredCapacityRange("capacity_range", request.capacityRange);
      const capability = request.volumeCapability && requiredCapability("volume_capability", request.volumeCapability);
      const id = volumeId("volume_id", request.volumeId);
      const asked = { id, capacity, ...(capability === undefined ? {} : { capability }) };
      const { capacity: now, nodeExpansionRequired } = await rules.expand(asked, call);
      return { capacityBytes: BigInt(now), nodeExpansionRequired };
    },
  };
}

function capabilityTypes(features: Features): Type[] {
  return [
    Type.CREATE_DELETE_VOLUME,
    Type.LIST_VOLUMES,
    Type.GET_CAPACITY,
    Type.GET_VOLUME,
    Type.SINGLE_NODE_MULTI_WRITER,
    ...(features.expand && !features.expandsOnNode ? [Type.EXPAND_VOLUME] : []),
    ...(features.snapshots ? [Type.CREATE_DELETE_SNAPSHOT, Type.LIST_SNAPSHOTS, Type.GET_SNAPSHOT] : []),
    ...(features.clones ? [Type.CLONE_VOLUME] : []),
    ...(features.attach
      ? [Type.PUBLISH_UNPUBLISH_VOLUME, Type.PUBLISH_READONLY, Type.LIST_VOLUMES_PUBLISHED_NODES]
      : []),
  ];
}
