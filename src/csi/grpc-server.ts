/** A gRPC server on a unix socket, with what all of ours have in common: its socket, its calls and its end. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { Log } from "../observe/log.ts";
import { Dispatcher } from "./dispatch.ts";
import { listenOn } from "./socket.ts";

export interface RunningServer {
  readonly socketPath: string;
  /**
   * The socket goes, new calls are UNAVAILABLE, running ones have `graceMs` milliseconds to finish; then they are aborted,
   * and a second later their connections are cut. May be called twice.
   */
  stop(options: { readonly graceMs: number }): Promise<void>;
  /** Whether the socket's file is still there, and ours. */
  inPlace(): Promise<boolean>;
}

const defaultMessageBytes = 4 * 1024 * 1024;
/** How long the last answers may take to reach their callers once all calls are done. */
const flushWithinMs = 1000;

/**
 * Serves what `register` registers on a socket that only this process's user can connect to (mode 0600). When it
 * resolves, calls are answered. Throws an EndpointError when the socket's directory is missing, or somebody answers there
 * already; the socket of a server that is gone is replaced.
 */
export async function serveOn(
  socketPath: string,
  log: Log,
  register: (dispatcher: Dispatcher, server: Server) => void,
  /** Bytes of a request; absent: 4 MiB. Longer ones are RESOURCE_EXHAUSTED. */
  messageBytes = defaultMessageBytes,
): Promise<RunningServer> {
  const server = new Server({
    "grpc.max_receive_message_length": messageBytes,
    "grpc.max_send_message_length": -1,
    // It keeps a record of every connection, and the kubelet makes one for each call.
    "grpc.enable_channelz": 0,
  });
  const dispatcher = new Dispatcher(log);
  register(dispatcher, server);
  // grpc-js makes its own sockets readable for all and in two steps; so ours is made here and its connections handed over.
  const connections = server.createConnectionInjector(ServerCredentials.createInsecure());
  const open = new Set<Socket>();
  const listener = await listenOn(socketPath, (connection) => {
    open.add(connection);
    connection.once("close", () => open.delete(connection));
    connections.injectConnection(connection);
  });

  const stop = async (graceMs: number) => {
    // In this order: from the moment of the call on, nothing new begins.
    const drained = dispatcher.drain(graceMs);
    await listener.close();
    await drained;
    // It ends each connection once its last answer is sent, and doesn't wait for that where Node closed them already.
    server.tryShutdown(() => undefined);
    const closed = Promise.all([...open].map((connection) => once(connection, "close")));
    const enough = new AbortController();
    const cut = delay(flushWithinMs, undefined, { signal: enough.signal }).catch(() => undefined);
    await Promise.race([closed, cut]);
    enough.abort();
    for (const connection of open) connection.destroy();
    server.forceShutdown();
  };
  let stopped: Promise<void> | undefined;
  return {
    socketPath,
    stop: ({ graceMs }) => {
      stopped ??= stop(graceMs);
      return stopped;
    },
    inPlace: () => listener.inPlace(),
  };
}
