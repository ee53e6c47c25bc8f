import { type CallOptions, type CsiClient, CsiError } from "../csi/client.ts";

/**
 * The volume's context, which an orchestrator keeps from CreateVolume and hands to the node. Empty when the driver
 * has no ControllerGetVolume or its socket no controller service.
 */
export async function contextOf(
  client: CsiClient,
  volumeId: string,
  call: CallOptions,
): Promise<Record<string, string>> {
  try {
    return { ...(await client.controller.controllerGetVolume({ volumeId }, call)).volume?.volumeContext };
  } catch (error) {
    // What is wrong with the volume itself, the call that needs the context says better.
    if (error instanceof CsiError && error.code !== "UNAVAILABLE") return {};
    throw error;
  }
}
