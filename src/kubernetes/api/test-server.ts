/** For tests: a small API server on loopback that keeps objects, counts versions, feeds watches and can be made to fail. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Cluster } from "./cluster.ts";

type Stored = {
  metadata: {
    name: string;
    namespace?: string;
    labels?: Readonly<Record<string, string>>;
    uid: string;
    resourceVersion: string;
  };
} & object;
type Selects = (object: Stored) => boolean;

export interface TestApi extends AsyncDisposable {
  readonly cluster: Cluster;
  /** `METHOD path` of every request so far. */
  readonly requests: string[];
  /** Keys are paths, as /api/v1/nodes/a. */
  readonly objects: Map<string, Stored>;
  /** Writes as somebody else would: every watch is told. */
  put(path: string, object: object): void;
  remove(path: string): void;
  /** Ends the open watches, as a server that restarts. */
  cut(): void;
  /** The server forgets what was before now: watches from older versions are 410. */
  forget(): void;
  /** Every watch is 410 at once. */
  expireWatches: boolean;
  /** Answers these requests instead of the server, until it gives back undefined. */
  answer:
    | ((
        method: string,
        path: string,
      ) => { status: number; body?: object; headers?: Record<string, string> } | undefined)
    | undefined;
}

export async function startTestApi(): Promise<TestApi> {
  const objects = new Map<string, Stored>();
  const history: { version: number; type: string; path: string; object: Stored; before: Stored | undefined }[] = [];
  const watches = new Set<{ collection: string; selects: Selects; answer: ServerResponse }>();
  const sockets = new Set<Socket>();
  const requests: string[] = [];
  let version = 1;
  let oldest = 0;
  let uids = 0;

  const inside = (collection: string, path: string) =>
    path.startsWith(`${collection}/`) || path.replace(/\/namespaces\/[^/]+(?=\/)/, "").startsWith(`${collection}/`);
  /** What leaves a selection is told as deleted, what enters it as added. */
  const tell = (answer: ServerResponse, selects: Selects, { type, object, before }: (typeof history)[number]) => {
    const was = before !== undefined && selects(before);
    const is = type !== "DELETED" && selects(object);
    if (!was && !is) return;
    answer.write(`${JSON.stringify({ type: !is ? "DELETED" : was ? "MODIFIED" : "ADDED", object })}\n`);
  };
  const record = (type: string, path: string, object: Stored, before: Stored | undefined) => {
    const change = { version, type, path, object, before };
    history.push(change);
    for (const watch of watches) if (inside(watch.collection, path)) tell(watch.answer, watch.selects, change);
  };
  const put = (path: string, given: object): Stored => {
    const known = objects.get(path);
    version++;
    const namespace = /\/namespaces\/([^/]+)\//.exec(path)?.[1];
    const metadata = {
      ...(given as Partial<Stored>).metadata,
      name: path.split("/").at(-1) ?? "",
      ...(namespace !== undefined && { namespace }),
    };
    const uid = known?.metadata.uid ?? `uid-${++uids}`;
    const object: Stored = { ...given, metadata: { ...metadata, uid, resourceVersion: String(version) } };
    objects.set(path, object);
    record(known ? "MODIFIED" : "ADDED", path, object, known);
    return object;
  };
  const remove = (path: string) => {
    const known = objects.get(path);
    if (!known) return;
    version++;
    objects.delete(path);
    record("DELETED", path, { ...known, metadata: { ...known.metadata, resourceVersion: String(version) } }, known);
  };

  const handle = async (request: IncomingMessage, answer: ServerResponse) => {
    const url = new URL(request.url ?? "/", "http://x");
    const path = decodeURIComponent(url.pathname);
    const method = request.method ?? "";
    requests.push(`${method} ${path}`);
    const say = (status: number, body: object = {}, headers: Record<string, string> = {}) => {
      answer.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
    };
    const refuse = (status: number, reason: string) =>
      say(status, { kind: "Status", reason, message: `${reason} ${path}` });
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = chunks.length > 0 ? (JSON.parse(Buffer.concat(chunks).toString()) as Partial<Stored>) : {};
    const instead = api.answer?.(method, path);
    if (instead) return say(instead.status, instead.body, instead.headers);
    const selects = selectorOf(url.searchParams.get("labelSelector") ?? "");
    if (url.searchParams.get("watch") === "true") {
      const from = Number(url.searchParams.get("resourceVersion"));
      answer.writeHead(200, { "content-type": "application/json" });
      answer.flushHeaders();
      if (from < oldest || api.expireWatches) {
        answer.end(`${JSON.stringify({ type: "ERROR", object: { code: 410, message: "too old" } })}\n`);
        return;
      }
      for (const past of history) {
        if (past.version > from && inside(path, past.path)) tell(answer, selects, past);
      }
      const watch = { collection: path, selects, answer };
      watches.add(watch);
      answer.on("close", () => watches.delete(watch));
      return;
    }
    // The status is written like all else of the object.
    const subject = method === "GET" ? path : path.replace(/\/status$/, "");
    const known = objects.get(subject);
    if (method === "POST") {
      const target = `${path}/${body.metadata?.name}`;
      if (objects.has(target)) return refuse(409, "AlreadyExists");
      return say(201, put(target, body));
    }
    if (method === "GET" && known === undefined && /s$/.test(path)) {
      const inIt = [...objects].filter(([key, object]) => inside(path, key) && selects(object));
      const items = inIt.map(([, object]) => object);
      const start = Number(url.searchParams.get("continue") ?? 0);
      const end = start + Number(url.searchParams.get("limit") ?? 500);
      const metadata = { resourceVersion: String(version), ...(end < items.length && { continue: String(end) }) };
      return say(200, { metadata, items: items.slice(start, end) });
    }
    if (known === undefined) return refuse(404, "NotFound");
    if (method === "PUT") {
      if (body.metadata?.resourceVersion !== known.metadata.resourceVersion) return refuse(409, "Conflict");
      return say(200, put(subject, body));
    }
    if (method === "PATCH") {
      const { uid = known.metadata.uid, resourceVersion = known.metadata.resourceVersion } = body.metadata ?? {};
      const meant = uid === known.metadata.uid && resourceVersion === known.metadata.resourceVersion;
      return meant ? say(200, put(subject, merged(known, body) as Stored)) : refuse(409, "Conflict");
    }
    if (method === "DELETE") remove(subject);
    return say(200, known);
  };

  const server: Server = createServer((request, answer) => {
    handle(request, answer).catch(() => answer.destroy());
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const api: TestApi = {
    cluster: { server: new URL(`http://127.0.0.1:${port}`), token: () => Promise.resolve("secret") },
    requests,
    objects,
    put,
    remove,
    cut: () => {
      for (const watch of watches) watch.answer.destroy();
    },
    forget: () => {
      oldest = version + 1;
      version++;
      history.length = 0;
    },
    expireWatches: false,
    answer: undefined,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
  return api;
}

/** Of a selector only `key=value` and `!key`. */
function selectorOf(selector: string): Selects {
  if (selector.startsWith("!")) return ({ metadata }) => metadata.labels?.[selector.slice(1)] === undefined;
  const [key = "", value] = selector.split("=");
  return ({ metadata }) => value === undefined || metadata.labels?.[key] === value;
}

/** RFC 7396. Strategic patches are taken for such, too: lists are replaced whole. */
function merged(known: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = typeof known === "object" && known !== null ? { ...known } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}

/** Waits until `check` holds; throws after five seconds. */
export async function until(check: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 5000;
  while (!check()) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
