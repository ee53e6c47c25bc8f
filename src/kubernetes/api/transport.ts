/**
 * Requests to the API server, as JSON over node:https with kept connections. Why no client library:
 * docs/explanation/kubernetes-client.md has the figures.
 */
import type { IncomingMessage } from "node:http";
import { Agent as HttpAgent, request as httpRequest, type RequestOptions } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { ApiError } from "./api-error.ts";
import type { Cluster } from "./cluster.ts";

export interface Sent {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  /** Absent: application/json. */
  readonly contentType?: string;
  /** Absent: application/json. */
  readonly accept?: string;
  readonly signal?: AbortSignal;
  /** When to give up, in milliseconds. Absent: 30,000. For a stream: until the answer begins. */
  readonly timeoutMs?: number;
}

export interface Transport {
  /** The answer's JSON. Throws an ApiError. */
  send(sent: Sent): Promise<unknown>;
  /** One JSON value a line, until the server or `signal` ends it. Throws an ApiError. */
  stream(sent: Sent): AsyncGenerator<unknown, void, undefined>;
  /**
   * For whoever will have a request in a moment: when no connection is open, one is opened meanwhile, by a request that every account may
   * make (the role system:public-info-viewer of Kubernetes). Returns at once and never fails.
   */
  warm(): void;
  /** Ends the connections that wait for the next request. */
  close(): void;
}

const defaultTimeoutMs = 30_000;
/** A peer that vanished without a word is noticed within minutes. */
const keepAliveMs = 30_000;

/** Proxies and the API server itself close what is idle: the shortest usual time is 50 seconds. */
const idleMs = 30_000;

/** `idleMs`: how long a connection may be idle and still be used again, in milliseconds; absent: 30,000. */
export function openTransport(
  cluster: Cluster,
  userAgent: string,
  options: { readonly idleMs?: number } = {},
): Transport {
  const secure = cluster.server.protocol === "https:";
  const tls = {
    ...(cluster.ca !== undefined && { ca: cluster.ca }),
    ...(cluster.certificate !== undefined && { cert: cluster.certificate, key: cluster.key }),
    ...(cluster.serverName !== undefined && { servername: cluster.serverName }),
    rejectUnauthorized: cluster.skipVerification !== true,
  };
  const kept = { keepAlive: true, keepAliveMsecs: keepAliveMs, maxSockets: 32, timeout: options.idleMs ?? idleMs };
  const agent = secure ? new HttpsAgent({ ...kept, ...tls }) : new HttpAgent(kept);
  // A watch keeps its connection for minutes: it must not take one of the others' places.
  const streams = secure ? new HttpsAgent(tls) : new HttpAgent();
  const base = cluster.server.pathname.replace(/\/$/, "");

  const ask = async (sent: Sent, through: HttpAgent, signal: AbortSignal): Promise<IncomingMessage> => {
    const token = await cluster.token?.();
    const body = sent.body === undefined ? undefined : Buffer.from(JSON.stringify(sent.body));
    const options: RequestOptions = {
      agent: through,
      method: sent.method,
      protocol: cluster.server.protocol,
      hostname: cluster.server.hostname.replace(/^\[|\]$/g, ""),
      port: cluster.server.port || (secure ? 443 : 80),
      path: base + sent.path + queryOf(sent.query),
      signal,
      headers: {
        accept: sent.accept ?? "application/json",
        "user-agent": userAgent,
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && {
          "content-type": sent.contentType ?? "application/json",
          "content-length": body.length,
        }),
      },
    };
    return new Promise((resolve, reject) => {
      const request = (secure ? httpsRequest : httpRequest)(options, resolve);
      request.once("socket", (socket) => socket.setKeepAlive(true, keepAliveMs));
      request.once("error", reject);
      request.end(body);
    });
  };

  /** Any failure as an ApiError that names the request. */
  const failed = (sent: Sent, error: unknown): ApiError => {
    if (error instanceof ApiError) return error;
    const what = error instanceof Error ? error.message : String(error);
    return new ApiError(0, "", `no answer from the API server to ${sent.method} ${sent.path}: ${what}`, undefined, {
      cause: error,
    });
  };

  let warming = false;
  const isOpen = () => [agent.sockets, agent.freeSockets].some((open) => Object.keys(open).length > 0);

  const transport: Transport = {
    async send(sent) {
      const limit = AbortSignal.timeout(sent.timeoutMs ?? defaultTimeoutMs);
      const signal = sent.signal ? AbortSignal.any([sent.signal, limit]) : limit;
      try {
        const answer = await ask(sent, agent, signal);
        const text = await textOf(answer);
        const status = answer.statusCode ?? 0;
        if (status >= 200 && status < 300) return text === "" ? undefined : JSON.parse(text);
        throw refused(sent, status, text, answer.headers["retry-after"]);
      } catch (error) {
        throw failed(sent, error);
      }
    },

    async *stream(sent) {
      const begun = new AbortController();
      const late = setTimeout(
        () => begun.abort(new Error("it did not begin in time")),
        sent.timeoutMs ?? defaultTimeoutMs,
      );
      const signal = sent.signal ? AbortSignal.any([sent.signal, begun.signal]) : begun.signal;
      try {
        const answer = await ask(sent, streams, signal);
        clearTimeout(late);
        const status = answer.statusCode ?? 0;
        if (status !== 200) throw refused(sent, status, await textOf(answer), answer.headers["retry-after"]);
        yield* linesOf(answer);
      } catch (error) {
        throw failed(sent, error);
      } finally {
        clearTimeout(late);
        begun.abort();
      }
    },

    warm() {
      if (warming || isOpen()) return;
      warming = true;
      transport
        .send({ method: "GET", path: "/version" })
        .catch(() => undefined)
        .finally(() => {
          warming = false;
        });
    },

    close() {
      agent.destroy();
      streams.destroy();
    },
  };
  return transport;
}

function queryOf(query: Sent["query"]): string {
  const pairs = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) if (value !== undefined) pairs.set(key, String(value));
  const text = pairs.toString();
  return text === "" ? "" : `?${text}`;
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

async function* linesOf(answer: IncomingMessage): AsyncGenerator<unknown, void, undefined> {
  let rest: Buffer[] = [];
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      const line = Buffer.concat([...rest, chunk.subarray(from, end)]);
      rest = [];
      from = end + 1;
      if (line.length > 0) yield JSON.parse(line.toString("utf8"));
    }
    if (from < chunk.length) rest.push(chunk.subarray(from));
  }
}

/** The API server says what is wrong in a Status object; a proxy before it may say anything. */
function refused(sent: Sent, status: number, text: string, retryAfter: string | undefined): ApiError {
  let said: { reason?: unknown; message?: unknown } = {};
  try {
    said = (JSON.parse(text) ?? {}) as typeof said;
  } catch {
    // Not JSON: the text itself is all there is.
  }
  const reason = typeof said.reason === "string" ? said.reason : "";
  const message = typeof said.message === "string" ? said.message : text.slice(0, 300);
  const seconds = Number(retryAfter);
  return new ApiError(
    status,
    reason,
    `${message || `HTTP ${status}`} (${sent.method} ${sent.path}: ${status})`,
    retryAfter !== undefined && Number.isFinite(seconds) ? seconds * 1000 : undefined,
  );
}
