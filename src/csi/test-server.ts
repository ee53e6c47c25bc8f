/** For the tests: a server with made-up rules on a scratch socket, its client, and what it logged. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createLog } from "../observe/log.ts";
import type { ControllerRules, Features, NodeRules, VolumeView } from "../volumes/api.ts";
import { type CsiClient, connect } from "./client.ts";
import type { RunningServer } from "./grpc-server.ts";
import { type ServerOptions, startServer } from "./server.ts";

export const allFeatures: Features = { snapshots: true, clones: true, expand: true, attach: true, topology: true };

export const aVolume: VolumeView = {
  id: "v1",
  capacity: 5_000_000_000_000,
  context: { kind: "test" },
  topology: [{ "local.csi.holdfast/node": "a" }],
  publishedNodes: ["a"],
};

function unexpected(): never {
  throw new Error("the test did not expect this call");
}

export function fakeController(parts: Partial<ControllerRules>): ControllerRules {
  return {
    features: allFeatures,
    create: unexpected,
    remove: unexpected,
    get: unexpected,
    list: unexpected,
    validate: unexpected,
    capacity: unexpected,
    attach: unexpected,
    detach: unexpected,
    expand: unexpected,
    createSnapshot: unexpected,
    removeSnapshot: unexpected,
    getSnapshot: unexpected,
    listSnapshots: unexpected,
    ...parts,
  };
}

export function fakeNode(parts: Partial<NodeRules>): NodeRules {
  return {
    stage: unexpected,
    unstage: unexpected,
    publish: unexpected,
    unpublish: unexpected,
    stats: unexpected,
    expand: unexpected,
    info: () => ({ nodeId: "a", maxVolumes: 0, topology: { "local.csi.holdfast/node": "a" } }),
    ...parts,
  };
}

export interface TestServer extends AsyncDisposable {
  readonly client: CsiClient;
  readonly server: RunningServer;
  readonly directory: string;
  readonly path: string;
  /** All that was logged, as text. */
  logged(): Promise<string>;
  /** The lines about calls, the oldest first. */
  calls(): Promise<Record<string, unknown>[]>;
}

export async function testServer(parts: {
  readonly controller?: Partial<ControllerRules>;
  readonly node?: Partial<NodeRules>;
  readonly options?: Partial<ServerOptions>;
}): Promise<TestServer> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-csi-"));
  const path = join(directory, "csi.sock");
  const lines: string[] = [];
  const server = await startServer({
    endpoint: `unix://${path}`,
    services: new Set(["identity", "controller", "node"]),
    rules: {
      controller: fakeController(parts.controller ?? {}),
      node: fakeNode(parts.node ?? {}),
      readiness: { ready: async () => undefined },
    },
    info: { driverName: "local.csi.holdfast", vendorVersion: "1.2.3" },
    log: createLog({ level: "debug", format: "json", destination: { write: (line) => lines.push(line) } }),
    ...parts.options,
  });
  const client = connect(path);
  // A line follows its answer.
  const settled = async () => {
    await delay(20);
    return lines;
  };
  return {
    client,
    server,
    directory,
    path,
    logged: async () => (await settled()).join(""),
    calls: async () =>
      (await settled())
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter((line) => line["msg"] === "call"),
    [Symbol.asyncDispose]: async () => {
      client.close();
      await server.stop({ graceMs: 0 });
      await rm(directory, { recursive: true, force: true });
    },
  };
}
