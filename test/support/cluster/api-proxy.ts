/** Stands between a helper and the API server: a test sees each request pass and may stop it, delay it or cut watches. */
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Agent, request } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import type { ControlPlane } from "./control-plane.ts";

export interface Passing {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly watch: boolean;
}

export interface ApiProxy {
  /** For a helper; the proxy speaks as the administrator. */
  readonly kubeconfig: string;
  /** Asked before a request is passed on; what it answers instead is the answer. May take its time. */
  before: ((passing: Passing) => Promise<{ status: number; reason: string } | undefined>) | undefined;
  /** Told when the server has answered, before the helper hears of it. May take its time. */
  after: ((passing: Passing) => Promise<unknown>) | undefined;
  /** Ends every open watch, as a server does that restarts. */
  cutWatches(): void;
  /** What passed so far, without reads. */
  readonly writes: readonly Passing[];
}

/** It ends with the scratch folder. */
export async function startApiProxy(plane: ControlPlane): Promise<ApiProxy> {
  const admin = await plane.authority.client("admin", ["system:masters"]);
  const agent = new Agent({
    keepAlive: true,
    ca: readFileSync(plane.authority.certificate),
    cert: readFileSync(admin.certificate),
    key: readFileSync(admin.key),
  });
  const watches = new Set<ServerResponse>();
  const sockets = new Set<Socket>();
  const writes: Passing[] = [];

  const pass = async (asked: IncomingMessage, answer: ServerResponse) => {
    const url = new URL(asked.url ?? "/", plane.server);
    const method = asked.method ?? "GET";
    const passing = { method, path: url.pathname, watch: url.searchParams.get("watch") === "true" };
    const body: Buffer[] = [];
    for await (const part of asked as AsyncIterable<Buffer>) body.push(part);
    const instead = await proxy.before?.(passing);
    if (instead !== undefined) {
      const status = {
        kind: "Status",
        apiVersion: "v1",
        ...instead,
        message: "as the test says",
        code: instead.status,
      };
      answer.writeHead(instead.status, { "content-type": "application/json" }).end(JSON.stringify(status));
      return;
    }
    if (method !== "GET") writes.push(passing);
    const { host: _, ...headers } = asked.headers;
    const sent = request(url, { method, headers, agent }, (received) => {
      const go = async () => {
        if (!passing.watch) await proxy.after?.(passing);
        answer.writeHead(received.statusCode ?? 502, received.headers);
        if (passing.watch) {
          watches.add(answer);
          answer.on("close", () => {
            watches.delete(answer);
            sent.destroy();
          });
          answer.flushHeaders();
        }
        received.pipe(answer);
        received.on("error", () => answer.destroy());
      };
      go().catch(() => answer.destroy());
    });
    sent.on("error", () => answer.destroy());
    sent.end(Buffer.concat(body));
  };

  const server = createServer((asked, answer) => {
    pass(asked, answer).catch(() => answer.destroy());
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const kubeconfig = join(plane.scratch.path, `proxy-${port}.kubeconfig`);
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      "current-context": "c",
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      clusters: [{ name: "c", cluster: { server: `http://127.0.0.1:${port}` } }],
      users: [{ name: "u", user: {} }],
    }),
  );
  plane.scratch.later(async () => {
    for (const socket of sockets) socket.destroy();
    agent.destroy();
    server.close();
    await once(server, "close");
  });
  const proxy: ApiProxy = {
    kubeconfig,
    before: undefined,
    after: undefined,
    writes,
    cutWatches() {
      for (const watch of watches) watch.destroy();
    },
  };
  return proxy;
}
