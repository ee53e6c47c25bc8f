/**
 * A client for any CSI driver on a unix socket: the other side of `server.ts`, for the command line, the tests, the
 * bench and the Kubernetes helpers. Messages are protobuf-es init shapes; int64 fields are bigint.
 */
import {
  create,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Client, type ClientUnaryCall, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { socketPathOf } from "./endpoint.ts";
import { Controller, GroupController, Identity, Node } from "./gen/csi_pb.ts";
import { Registration } from "./gen/registration_pb.ts";
import { deepestMessage, methodPath } from "./wire.ts";

export interface CallOptions {
  /** When to give up, in milliseconds from now; absent: 120,000 as the kubelet's; Infinity: never. */
  readonly timeoutMs?: number;
  /** Cancels the call; the driver is told. */
  readonly signal?: AbortSignal;
}

/** The unary calls of a service, by their names in lowerCamelCase. */
type Methods<S extends DescService> = {
  readonly [K in keyof S["method"] as S["method"][K]["methodKind"] extends "unary" ? K : never]: (
    request: MessageInitShape<S["method"][K]["input"]>,
    options?: CallOptions,
  ) => Promise<MessageShape<S["method"][K]["output"]>>;
};

export interface CsiClient {
  readonly identity: Methods<typeof Identity>;
  readonly controller: Methods<typeof Controller>;
  readonly groupController: Methods<typeof GroupController>;
  readonly node: Methods<typeof Node>;
  /** Ends the connection and the calls that still run. May be called twice. */
  close(): void;
}

/** What a driver answered instead of a message, or why no answer came (UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED). */
export class CsiError extends Error {
  /** The gRPC status by name, as `NOT_FOUND`. */
  readonly code: string;
  /** The method, as `CreateVolume`. */
  readonly rpc: string;

  constructor(code: string, message: string, rpc: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CsiError";
    this.code = code;
    this.rpc = rpc;
  }
}

const defaultTimeoutMs = 120_000;
/** Servers that keep the deadline in 32 bits take a longer one for one that has passed: about 25 days are never. */
const longestTimeoutMs = 2 ** 31 - 1;
/** Listings may be long: ten thousand volumes are a few megabytes. */
const largestAnswer = 64 * 1024 * 1024;

/**
 * A client of the driver at `address` (`unix:///path` or a plain path; relative ones are taken from the working
 * directory). Connects with the first call; a driver that is not there answers UNAVAILABLE. Throws an EndpointError when
 * the address is not of a unix socket. `reconnectMs`: milliseconds until a connection that failed is tried again, later up to ten
 * times that; absent: 100.
 */
export function connect(address: string, { reconnectMs }: { readonly reconnectMs?: number } = {}): CsiClient {
  const { methods, close } = open(address, reconnectMs);
  return {
    identity: methods(Identity),
    controller: methods(Controller),
    groupController: methods(GroupController),
    node: methods(Node),
    close,
  };
}

/** A client of a registration socket, as the kubelet is one. `close` as a CsiClient's. */
export function connectRegistration(address: string): Methods<typeof Registration> & Pick<CsiClient, "close"> {
  const { methods, close } = open(address);
  return { ...methods(Registration), close };
}

function open(
  address: string,
  reconnectMs = 100,
): {
  readonly methods: <S extends DescService>(service: S) => Methods<S>;
  readonly close: () => void;
} {
  const path = socketPathOf(address);
  const channel = new Client(`unix:${path}`, credentials.createInsecure(), {
    "grpc.max_receive_message_length": largestAnswer,
    "grpc.max_send_message_length": -1,
    "grpc.enable_retries": 0,
    // Statistics of each call, for a debugging service that is not offered.
    "grpc.enable_channelz": 0,
    "grpc.service_config_disable_resolution": 1,
    // A driver that restarts is back in well under a second; waiting longer than that for the next try helps nobody.
    "grpc.initial_reconnect_backoff_ms": reconnectMs,
    "grpc.max_reconnect_backoff_ms": 10 * reconnectMs,
    // Two clients of one address must not share a connection: closing one would end the other's calls.
    "grpc.use_local_subchannel_pool": 1,
  });
  const running = new Set<ClientUnaryCall>();
  return {
    methods: (service) => methodsOf(channel, path, running, service),
    close: () => {
      for (const call of running) call.cancel();
      channel.close();
    },
  };
}

function methodsOf<S extends DescService>(
  channel: Client,
  path: string,
  running: Set<ClientUnaryCall>,
  service: S,
): Methods<S> {
  const methods: Record<string, (request: never, options?: CallOptions) => Promise<unknown>> = {};
  for (const method of service.methods) {
    if (method.methodKind !== "unary") continue;
    methods[method.localName] = (request: MessageInitShape<typeof method.input>, options: CallOptions = {}) =>
      new Promise((resolve, reject) => {
        if (options.signal?.aborted) {
          reject(new CsiError("CANCELLED", `${method.name} was cancelled before it was sent`, method.name));
          return;
        }
        const timeout = options.timeoutMs ?? defaultTimeoutMs;
        const cancel = () => call.cancel();
        const call = channel.makeUnaryRequest(
          methodPath(method),
          (message: MessageShape<typeof method.input>) => Buffer.from(toBinary(method.input, message)),
          (bytes: Buffer) => fromBinary(method.output, bytes),
          create(method.input, request),
          new Metadata(),
          timeout <= longestTimeoutMs ? { deadline: Date.now() + timeout } : {},
          (error, answer) => {
            running.delete(call);
            options.signal?.removeEventListener("abort", cancel);
            if (error) reject(csiError(error, method.name, path));
            else resolve(answer);
          },
        );
        running.add(call);
        options.signal?.addEventListener("abort", cancel, { once: true });
      });
  }
  return methods as Methods<S>;
}

function csiError(error: ServiceError, rpc: string, path: string): CsiError {
  const code = status[error.code] ?? "UNKNOWN";
  const told = deepestMessage(error);
  const noAnswer = code === "UNAVAILABLE" && /ENOENT|ECONNREFUSED|No connection established/.test(told);
  const message = noAnswer
    ? `no driver answers at ${path}: is it running? (${/\bE[A-Z]{4,}\b/.exec(told)?.[0] ?? told})`
    : told || `${rpc} failed: ${code}`;
  return new CsiError(code, message, rpc, { cause: error });
}
