/** The wire of the kubelet's plugin registration: the kubelet asks who is there, looks at it, and tells what came of it. */
import type { Log } from "../observe/log.ts";
import type { Handlers } from "./dispatch.ts";
import { socketPathOf } from "./endpoint.ts";
import { Registration } from "./gen/registration_pb.ts";
import { type RunningServer, serveOn } from "./grpc-server.ts";

/** What the kubelet tells at the end of a registration; `error` is empty when it went well. */
export interface RegistrationStatus {
  readonly registered: boolean;
  readonly error: string;
}

export interface RegistrationOptions {
  /** `<kubelet's folder>/plugins_registry/<driver's name>-reg.sock`. */
  readonly socketPath: string;
  readonly driverName: string;
  /** The driver's socket, as the kubelet sees its path. */
  readonly endpoint: string;
  readonly log: Log;
  /** The kubelet begins a registration. */
  readonly onAsked: () => void;
  readonly onStatus: (status: RegistrationStatus) => void;
}

/** The kubelet takes the driver's version of CSI from this; all that it knows is that 1.x is not 2.x. */
const supportedVersions = ["1.0.0"];

/**
 * Serves the registration socket (mode 0600). Throws an EndpointError when its directory is missing, its path is too
 * long, or another answers there; the socket of a process that is gone is replaced.
 */
export function serveRegistration(options: RegistrationOptions): Promise<RunningServer> {
  const { driverName, endpoint } = options;
  const handlers: Handlers<typeof Registration> = {
    getInfo: async () => {
      options.onAsked();
      return { type: "CSIPlugin", name: driverName, endpoint, supportedVersions };
    },
    notifyRegistrationStatus: async ({ pluginRegistered, error }) => {
      options.onStatus({ registered: pluginRegistered, error });
      return {};
    },
  };
  return serveOn(socketPathOf(options.socketPath), options.log, (dispatcher, server) =>
    dispatcher.register(server, Registration, handlers),
  );
}
