/** A driver without storage that answers as a test says: for what a real one can't be brought to do at will. */
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import type { Handlers } from "../../../src/csi/dispatch.ts";
import {
  Controller,
  ControllerServiceCapability_RPC_Type as ControllerRpc,
  GroupController,
  GroupControllerServiceCapability_RPC_Type as GroupRpc,
  Identity,
  Node,
  NodeServiceCapability_RPC_Type as NodeRpc,
  PluginCapability_Service_Type as PluginService,
} from "../../../src/csi/gen/csi_pb.ts";
import { serveOn } from "../../../src/csi/grpc-server.ts";
import { createLog } from "../../../src/observe/log.ts";
import type { Scratch } from "../scratch.ts";

export interface ScriptedOptions {
  readonly name: string;
  /** Capabilities; absent: none. */
  readonly controller?: readonly (keyof typeof ControllerRpc)[];
  readonly node?: readonly (keyof typeof NodeRpc)[];
  readonly topology?: Readonly<Record<string, string>>;
  /** Absent: only CONTROLLER_SERVICE. */
  readonly plugin?: readonly (keyof typeof PluginService)[];
}

export interface ScriptedDriver {
  readonly name: string;
  readonly socket: string;
  /** What it was asked, the oldest first; without secrets. */
  readonly calls: { readonly rpc: string; readonly request: object }[];
  /** Its answers, by method; what is not there is UNIMPLEMENTED. May be changed at any time. */
  answers: Handlers<typeof Controller>;
  groupAnswers: Handlers<typeof GroupController>;
}

const methods = [
  "controllerExpandVolume",
  "controllerModifyVolume",
  "controllerPublishVolume",
  "controllerUnpublishVolume",
  "createSnapshot",
  "createVolume",
  "deleteVolume",
  "getCapacity",
  "deleteSnapshot",
  "getSnapshot",
  "listSnapshots",
  "listVolumes",
] as const;
const groupMethods = ["createVolumeGroupSnapshot", "deleteVolumeGroupSnapshot", "getVolumeGroupSnapshot"] as const;

/** It ends with the scratch folder. */
export async function startScripted(scratch: Scratch, options: ScriptedOptions): Promise<ScriptedDriver> {
  const socket = join(mkdtempSync(join(scratch.path, "d-")), "csi.sock");
  const driver: ScriptedDriver = { name: options.name, socket, calls: [], answers: {}, groupAnswers: {} };
  /** Notes the call, then answers as the test says. */
  const scripted = (method: string, answers: () => object) => (request: object, call: object) => {
    driver.calls.push({ rpc: method, request });
    const answer = (answers() as Record<string, (request: object, call: object) => Promise<object>>)[method];
    if (answer === undefined) throw new Error(`the test did not expect ${method}`);
    return answer(request, call);
  };
  const controller = Object.fromEntries(
    methods.map((name) => [name, scripted(name, () => driver.answers)]),
  ) as Handlers<typeof Controller>;
  const group = Object.fromEntries(
    groupMethods.map((name) => [name, scripted(name, () => driver.groupAnswers)]),
  ) as Handlers<typeof GroupController>;
  const server = await serveOn(socket, createLog({ level: "silent", format: "json" }), (dispatcher, grpc) => {
    dispatcher.register(grpc, Identity, {
      probe: () => Promise.resolve({ ready: true }),
      getPluginInfo: () => Promise.resolve({ name: options.name, vendorVersion: "1" }),
      getPluginCapabilities: () =>
        Promise.resolve({
          capabilities: (options.plugin ?? ["CONTROLLER_SERVICE"]).map((name) => ({
            type: { case: "service" as const, value: { type: PluginService[name] } },
          })),
        }),
    });
    if (options.plugin?.includes("GROUP_CONTROLLER_SERVICE")) {
      dispatcher.register(grpc, GroupController, {
        groupControllerGetCapabilities: () =>
          Promise.resolve({
            capabilities: [
              {
                type: {
                  case: "rpc" as const,
                  value: { type: GroupRpc.CREATE_DELETE_GET_VOLUME_GROUP_SNAPSHOT },
                },
              },
            ],
          }),
        ...group,
      });
    }
    dispatcher.register(grpc, Controller, {
      controllerGetCapabilities: () =>
        Promise.resolve({
          capabilities: (options.controller ?? []).map((name) => ({
            type: { case: "rpc" as const, value: { type: ControllerRpc[name] } },
          })),
        }),
      ...controller,
    });
    dispatcher.register(grpc, Node, {
      nodeGetCapabilities: () =>
        Promise.resolve({
          capabilities: (options.node ?? []).map((name) => ({
            type: { case: "rpc" as const, value: { type: NodeRpc[name] } },
          })),
        }),
      nodeGetInfo: () =>
        Promise.resolve({
          nodeId: "n1",
          ...(options.topology && { accessibleTopology: { segments: { ...options.topology } } }),
        }),
    });
  });
  scratch.later(() => server.stop({ graceMs: 0 }));
  return driver;
}
