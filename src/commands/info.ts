import type { Command } from "commander";
import { CsiError } from "../csi/client.ts";
import {
  ControllerServiceCapability_RPC_Type as ControllerType,
  PluginCapability_VolumeExpansion_Type as ExpansionType,
  NodeServiceCapability_RPC_Type as NodeType,
  PluginCapability_Service_Type as ServiceType,
} from "../csi/gen/csi_pb.ts";
import { callsDriver } from "./driver-command.ts";
import { enumName } from "./messages.ts";
import { mapText, pairs, print } from "./output.ts";

export function info(parent: Command): void {
  const command = parent
    .command("info")
    .summary("show what the driver is and can do")
    .description("Shows the driver's name and version, its capabilities, and the node that it runs on.");
  callsDriver(command, async ({ client, call }, options) => {
    const plugin = await client.identity.getPluginInfo({}, call);
    const offers = await client.identity.getPluginCapabilities({}, call);
    const controller = await offered(() => client.controller.controllerGetCapabilities({}, call));
    const node = await offered(() => client.node.nodeGetCapabilities({}, call));
    const where = await offered(() => client.node.nodeGetInfo({}, call));
    const view = {
      name: plugin.name,
      version: plugin.vendorVersion,
      manifest: { ...plugin.manifest },
      plugin: offers.capabilities.flatMap(({ type }) =>
        type.case === "service"
          ? [enumName(ServiceType, type.value.type)]
          : type.case === "volumeExpansion"
            ? [`VOLUME_EXPANSION_${enumName(ExpansionType, type.value.type)}`]
            : [],
      ),
      controller: rpcs(controller?.capabilities, ControllerType),
      node: rpcs(node?.capabilities, NodeType),
      nodeId: where?.nodeId ?? "",
      maxVolumes: Number(where?.maxVolumesPerNode ?? 0n),
      topology: { ...where?.accessibleTopology?.segments },
    };
    print(options.output, view, () =>
      pairs([
        ["name", view.name],
        ["version", view.version],
        ["plugin", view.plugin.join(", ") || "-"],
        ["controller", view.controller.join(", ") || "-"],
        ["node", view.node.join(", ") || "-"],
        ["node id", view.nodeId || "-"],
        ["volumes", view.maxVolumes === 0 ? "as many as the node can hold" : `at most ${view.maxVolumes}`],
        ["topology", mapText(view.topology)],
      ]),
    );
  });
}

/** Undefined where the socket does not serve that service. */
async function offered<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof CsiError && error.code === "UNIMPLEMENTED") return undefined;
    throw error;
  }
}

interface RpcCapability<T> {
  readonly type: { readonly case: "rpc"; readonly value: { readonly type: T } } | { readonly case: undefined };
}

function rpcs<T extends number>(
  list: readonly RpcCapability<T>[] | undefined,
  names: Readonly<Record<string, number>>,
): string[] {
  return (list ?? []).flatMap(({ type }) => (type.case === "rpc" ? [enumName(names, type.value.type)] : []));
}
