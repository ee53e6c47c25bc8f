/** The driver on its socket. */
import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { Log } from "../observe/log.ts";
import type { ControllerRules, Features, NodeRules, Readiness } from "../volumes/api.ts";
import { controllerHandlers } from "./controller.ts";
import { Dispatcher } from "./dispatch.ts";
import { socketPathOf } from "./endpoint.ts";
import { Controller, GroupController, Identity, Node, SnapshotMetadata } from "./gen/csi_pb.ts";
import { identityHandlers } from "./identity.ts";
import { nodeHandlers } from "./node.ts";
import { listenOn } from "./socket.ts";

export type ServiceName = "identity" | "controller" | "node";

export interface ServerOptions {
  /** `unix:///path/name.sock` or a plain path. */
  readonly endpoint: string;
  /** Identity is served always: CSI wants it on every socket. */
  readonly services: ReadonlySet<ServiceName>;
  readonly rules: {
    readonly controller?: ControllerRules;
    readonly node?: NodeRules;
    readonly readiness: Readiness;
  };
  readonly info: {
    readonly driverName: string;
    readonly vendorVersion: string;
    /** Whether the driver has a controller, here or in another process; absent: as `services` has it. */
    readonly hasController?: boolean;
    /** Of the configured pools; absent: those of the controller's rules, and without these none. */
    readonly features?: Features;
  };
  readonly log: Log;
  readonly limits?: {
    /** Bytes of a request; absent: 4 MiB. Longer ones are RESOURCE_EXHAUSTED. */
    readonly messageBytes?: number;
  };
}

export interface RunningServer {
  readonly socketPath: string;
  /**
   * The socket goes, new calls are UNAVAILABLE, running ones have `graceMs` milliseconds to finish; then they are aborted,
   * and a second later their connections are cut. May be called twice.
   */
  stop(options: { readonly graceMs: number }): Promise<void>;
}

const noFeatures: Features = { snapshots: false, clones: false, expand: false, attach: false, topology: false };
const defaultMessageBytes = 4 * 1024 * 1024;
/** How long the last answers may take to reach their callers once all calls are done. */
const flushWithinMs = 250;

/**
 * Serves CSI on a socket that only this process's user can connect to (mode 0600). When it resolves, calls are answered.
 * Throws an EndpointError when the address is not of a unix socket, its directory is missing, or somebody answers there
 * already; the socket of a server that is gone is replaced.
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { rules, services, log } = options;
  const socketPath = socketPathOf(options.endpoint);
  const features = options.info.features ?? rules.controller?.features ?? noFeatures;
  const hasController = options.info.hasController ?? services.has("controller");
  const info = { ...options.info, features, hasController };
  const server = new Server({
    "grpc.max_receive_message_length": options.limits?.messageBytes ?? defaultMessageBytes,
    "grpc.max_send_message_length": -1,
    // It keeps a record of every connection, and the kubelet makes one for each call.
    "grpc.enable_channelz": 0,
  });
  const dispatcher = new Dispatcher(log);
  dispatcher.register(server, Identity, identityHandlers(info, rules.readiness));
  const { controller, node } = rules;
  dispatcher.register(
    server,
    Controller,
    services.has("controller") && controller ? controllerHandlers(controller) : undefined,
  );
  dispatcher.register(server, Node, services.has("node") && node ? nodeHandlers(node, features) : undefined);
  dispatcher.register(server, GroupController, undefined);
  dispatcher.register(server, SnapshotMetadata, undefined);
  // grpc-js makes its own sockets readable for all and in two steps; so ours is made here and its connections handed over.
  const connections = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = await listenOn(socketPath, (connection) => connections.injectConnection(connection));

  const stop = async (graceMs: number) => {
    // In this order: from the moment of the call on, nothing new begins.
    const drained = dispatcher.drain(graceMs);
    await listener.close();
    await drained;
    await new Promise<void>((resolve) => {
      const cut = setTimeout(resolve, flushWithinMs);
      server.tryShutdown(() => {
        clearTimeout(cut);
        resolve();
      });
    });
    server.forceShutdown();
  };
  let stopped: Promise<void> | undefined;
  return {
    socketPath,
    stop: ({ graceMs }) => {
      stopped ??= stop(graceMs);
      return stopped;
    },
  };
}
