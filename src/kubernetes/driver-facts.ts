/** What a helper must know of the driver behind the socket before it begins: who it is and what it can do. */
import { setTimeout as sleep } from "node:timers/promises";
import { type CsiClient, CsiError } from "../csi/client.ts";
import {
  ControllerServiceCapability_RPC_Type as ControllerRpc,
  PluginCapability_VolumeExpansion_Type as Expansion,
  GroupControllerServiceCapability_RPC_Type as GroupRpc,
  NodeServiceCapability_RPC_Type as NodeRpc,
  PluginCapability_Service_Type as Service,
} from "../csi/gen/csi_pb.ts";
import type { Log } from "../observe/log.ts";

export interface DriverFacts {
  readonly name: string;
  readonly version: string;
  /** Capabilities by the specification's names, as `CREATE_DELETE_VOLUME`, `STAGE_UNSTAGE_VOLUME`. */
  readonly plugin: ReadonlySet<string>;
  readonly controller: ReadonlySet<string>;
  readonly groupController: ReadonlySet<string>;
  readonly node: ReadonlySet<string>;
  /** Of the node service, where the socket has one: NodeGetInfo. */
  readonly nodeInfo?: {
    readonly nodeId: string;
    /** 0: no limit. */
    readonly maxVolumes: number;
    /** The segments of this node; empty where the driver has no topology. */
    readonly topology: Readonly<Record<string, string>>;
  };
}

const askAgainMs = 500;
const patienceMs = 5_000;

/**
 * Waits until the driver answers Probe with ready, and asks it. Says after some seconds, and then once a minute, what it waits for.
 * Throws only when `signal` ends it.
 */
export async function learnDriver(csi: CsiClient, log: Log, signal: AbortSignal): Promise<DriverFacts> {
  const began = performance.now();
  let toldAt = began - 60_000 + patienceMs;
  for (;;) {
    signal.throwIfAborted();
    let missing: string;
    try {
      const { ready } = await csi.identity.probe({}, { signal, timeoutMs: 10_000 });
      if (ready !== false) return await ask(csi, signal);
      missing = "it says that it is not ready";
    } catch (error) {
      missing = error instanceof Error ? error.message : String(error);
    }
    if (performance.now() - toldAt > 60_000) {
      toldAt = performance.now();
      log.warn({ waited: `${Math.round((toldAt - began) / 1000)}s`, missing }, "waiting for the driver");
    }
    await sleep(askAgainMs, undefined, { signal });
  }
}

async function ask(csi: CsiClient, signal: AbortSignal): Promise<DriverFacts> {
  const limits = { signal, timeoutMs: 10_000 };
  const info = await csi.identity.getPluginInfo({}, limits);
  const plugin = new Set<string>();
  for (const { type } of (await csi.identity.getPluginCapabilities({}, limits)).capabilities) {
    if (type.case === "service") plugin.add(nameIn(Service, type.value.type));
    // Both enumerations begin with UNKNOWN, and ONLINE says nothing alone.
    if (type.case === "volumeExpansion") plugin.add(`VOLUME_EXPANSION_${nameIn(Expansion, type.value.type)}`);
  }
  const rpcs = (
    types: object,
    list: readonly { type: { case?: string | undefined; value?: { type: number } | undefined } }[],
  ) => new Set(list.map(({ type }) => nameIn(types, type.value?.type ?? 0)));
  const orNone = async <T>(call: Promise<{ capabilities: T[] }>): Promise<T[]> => {
    try {
      return (await call).capabilities;
    } catch (error) {
      if (error instanceof CsiError && error.code === "UNIMPLEMENTED") return [];
      throw error;
    }
  };
  const node = rpcs(NodeRpc, await orNone(csi.node.nodeGetCapabilities({}, limits)));
  return {
    name: info.name,
    version: info.vendorVersion,
    plugin,
    controller: rpcs(ControllerRpc, await orNone(csi.controller.controllerGetCapabilities({}, limits))),
    groupController: plugin.has("GROUP_CONTROLLER_SERVICE")
      ? rpcs(GroupRpc, await orNone(csi.groupController.groupControllerGetCapabilities({}, limits)))
      : new Set(),
    node,
    ...(await nodeInfo(csi, limits)),
  };
}

async function nodeInfo(csi: CsiClient, limits: { signal: AbortSignal; timeoutMs: number }) {
  try {
    const info = await csi.node.nodeGetInfo({}, limits);
    return {
      nodeInfo: {
        nodeId: info.nodeId,
        maxVolumes: Number(info.maxVolumesPerNode),
        topology: { ...info.accessibleTopology?.segments },
      },
    };
  } catch (error) {
    if (error instanceof CsiError && error.code === "UNIMPLEMENTED") return {};
    throw error;
  }
}

const nameIn = (types: object, value: number): string =>
  Object.entries(types).find(([, number]) => number === value)?.[0] ?? `UNKNOWN_${value}`;
