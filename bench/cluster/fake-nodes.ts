/**
 * fake-nodes.ts KUBECONFIG DRIVER SOCKET FIRST COUNT: so many nodes in one process. Each has a client, informers and helpers
 * of its own, as the composition of a node has them; all share one driver that makes nothing and is quick about it.
 * What is missing of a node is what the API server does not see.
 */
import { randomUUID } from "node:crypto";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../src/csi/client.ts";
import {
  Controller,
  ControllerServiceCapability_RPC_Type as ControllerRpc,
  Identity,
  Node,
  PluginCapability_Service_Type as PluginService,
} from "../../src/csi/gen/csi_pb.ts";
import { serveOn } from "../../src/csi/grpc-server.ts";
import { openClient } from "../../src/kubernetes/api/client.ts";
import { clusterOfKubeconfig } from "../../src/kubernetes/api/cluster.ts";
import { openEvents } from "../../src/kubernetes/api/events.ts";
import { helpersOf } from "../../src/kubernetes/compose.ts";
import { type DriverFacts, learnDriver } from "../../src/kubernetes/driver-facts.ts";
import { type Informers, openInformers } from "../../src/kubernetes/helper.ts";
import { createLog } from "../../src/observe/log.ts";

const [kubeconfig = "", driverName = "", socket = "", first = "0", count = "0"] = process.argv.slice(2);
const log = createLog({ level: "warn", format: "json" });
const { signal } = new AbortController();

await serveOn(socket, createLog({ level: "silent", format: "json" }), (dispatcher, grpc) => {
  const services = [PluginService.CONTROLLER_SERVICE, PluginService.VOLUME_ACCESSIBILITY_CONSTRAINTS];
  dispatcher.register(grpc, Identity, {
    probe: () => Promise.resolve({ ready: true }),
    getPluginInfo: () => Promise.resolve({ name: driverName, vendorVersion: "1" }),
    getPluginCapabilities: () =>
      Promise.resolve({
        capabilities: services.map((type) => ({ type: { case: "service" as const, value: { type } } })),
      }),
  });
  const { CREATE_DELETE_VOLUME, EXPAND_VOLUME, CREATE_DELETE_SNAPSHOT, GET_CAPACITY } = ControllerRpc;
  const rpcs = [CREATE_DELETE_VOLUME, EXPAND_VOLUME, CREATE_DELETE_SNAPSHOT, GET_CAPACITY];
  dispatcher.register(grpc, Controller, {
    controllerGetCapabilities: () =>
      Promise.resolve({ capabilities: rpcs.map((type) => ({ type: { case: "rpc" as const, value: { type } } })) }),
    createVolume: ({ capacityRange, accessibilityRequirements }) =>
      Promise.resolve({
        volume: {
          volumeId: randomUUID(),
          capacityBytes: capacityRange?.requiredBytes ?? 0n,
          accessibleTopology: [...(accessibilityRequirements?.requisite ?? [])],
        },
      }),
    deleteVolume: () => Promise.resolve({}),
    getCapacity: () => Promise.resolve({ availableCapacity: 2n ** 40n }),
  });
  dispatcher.register(grpc, Node, { nodeGetInfo: () => Promise.resolve({ nodeId: "fake" }) });
});
const csi = connect(`unix://${socket}`);
const facts = await learnDriver(csi, log, signal);
const cluster = clusterOfKubeconfig(kubeconfig);

/** The first lists of one node: what its helpers wait for. */
function startNode(node: string): () => Promise<unknown> {
  const api = openClient(cluster, `holdfast-bench-${node}`);
  const driver: DriverFacts = {
    ...facts,
    nodeInfo: { nodeId: node, maxVolumes: 0, topology: { [`${driverName}/node`]: node } },
  };
  const events = openEvents(api, { component: driver.name, host: node }, log);
  const informers = openInformers(api, log, signal);
  const synced: Promise<void>[] = [];
  const noted: Informers = {
    of(resource, options, name) {
      const informer = informers.of(resource, options, name);
      synced.push(informer.synced);
      return informer;
    },
  };
  const context = { api, csi, driver, events, log, node, signal, informers: noted };
  for (const helper of helpersOf({
    role: "node",
    shared: false,
    stateFolder: join(dirname(socket), node),
    capacity: true,
    namespace: "bench",
  })) {
    helper.run(context).catch((error: unknown) => log.error({ error, node }, "a helper failed"));
  }
  return async () => {
    while (synced.length === 0) await sleep(50);
    await Promise.all(synced);
  };
}

const from = Number(first);
const nodes = Array.from({ length: Number(count) }, (_, index) => startNode(`f${from + index}`));
for (const synced of nodes) await synced();
process.stdout.write(`nodes are ready\n`);
