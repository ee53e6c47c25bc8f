/** Who the plugin is and whether it is ready. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Features, Readiness } from "../volumes/api.ts";
import type { Handlers } from "./dispatch.ts";
import {
  type Identity,
  type PluginCapabilitySchema,
  PluginCapability_Service_Type as Service,
  PluginCapability_VolumeExpansion_Type as VolumeExpansion,
} from "./gen/csi_pb.ts";

export interface PluginInfo {
  /** Domain style, at most 63 characters. */
  readonly driverName: string;
  readonly vendorVersion: string;
  /** Whether the driver as a whole has a controller, be it in this process or in another. */
  readonly hasController: boolean;
  readonly features: Features;
}

/**
 * Probe: OK with `ready` false while `readiness` answers a message (the driver starts, or none of its pools is there; a
 * restart would not bring a disk back). While one pool is there it is ready: calls on another say themselves what is
 * missing. A Problem that `readiness` throws is the answer as a status, which tells the caller that a restart may help.
 * May be called as often as one likes: it costs a look at the pools' markers.
 */
export function identityHandlers(info: PluginInfo, readiness: Readiness): Handlers<typeof Identity> {
  return {
    getPluginInfo: async () => ({ name: info.driverName, vendorVersion: info.vendorVersion }),
    getPluginCapabilities: async () => ({ capabilities: capabilities(info) }),
    probe: async () => ({ ready: (await readiness.ready()) === undefined }),
  };
}

function capabilities(info: PluginInfo): MessageInitShape<typeof PluginCapabilitySchema>[] {
  const list: MessageInitShape<typeof PluginCapabilitySchema>[] = [];
  const service = (type: Service) => list.push({ type: { case: "service", value: { type } } });
  if (info.hasController) service(Service.CONTROLLER_SERVICE);
  if (info.features.topology) service(Service.VOLUME_ACCESSIBILITY_CONSTRAINTS);
  // ONLINE includes what OFFLINE allows; declaring both would contradict itself.
  if (info.features.expand) list.push({ type: { case: "volumeExpansion", value: { type: VolumeExpansion.ONLINE } } });
  return list;
}
