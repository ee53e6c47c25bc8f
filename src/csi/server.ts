/** The driver on its socket. */
import type { Log } from "../observe/log.ts";
import type { ControllerRules, Features, NodeRules, Readiness } from "../volumes/api.ts";
import { controllerHandlers } from "./controller.ts";
import { socketPathOf } from "./endpoint.ts";
import { Controller, GroupController, Identity, Node, SnapshotMetadata } from "./gen/csi_pb.ts";
import { type RunningServer, serveOn } from "./grpc-server.ts";
import { identityHandlers } from "./identity.ts";
import { nodeHandlers } from "./node.ts";

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

const noFeatures: Features = { snapshots: false, clones: false, expand: false, attach: false, topology: false };

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
  const { controller, node } = rules;
  return serveOn(
    socketPath,
    log,
    (dispatcher, server) => {
      dispatcher.register(server, Identity, identityHandlers(info, rules.readiness));
      dispatcher.register(
        server,
        Controller,
        services.has("controller") && controller ? controllerHandlers(controller) : undefined,
      );
      dispatcher.register(server, Node, services.has("node") && node ? nodeHandlers(node, features) : undefined);
      dispatcher.register(server, GroupController, undefined);
      dispatcher.register(server, SnapshotMetadata, undefined);
    },
    options.limits?.messageBytes,
  );
}
