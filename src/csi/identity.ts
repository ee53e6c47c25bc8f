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
 * Probe: not ready (OK with `ready` false) while `readiness` answers a message, which is the state of starting; a Problem
 * that it throws is the answer, for then a restart may help. A pool that is not there is neither: a restart would not
 * bring its disk back, other pools go on, and each call on it says what is missing. Probe reads no disk, so it may be
 * called as often as one likes.
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
