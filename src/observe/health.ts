/**
 * Health over HTTP, in the form that Kubernetes' own components give it: 200 and `ok`, or 500 and a line a check, at
 * `/healthz`, `/livez` and `/readyz`; with `?verbose` the lines come always.
 */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Undefined: it is well. Else what is wrong, in one line; what is thrown counts as that. */
export interface Check {
  readonly name: string;
  run(): Promise<string | undefined> | string | undefined;
}

export interface HealthChecks {
  /** What kubernetes-csi's livenessprobe tells: the driver answers, and says that it is ready. */
  readonly healthz: readonly Check[];
  /** A restart may help where one of these fails. */
  readonly livez: readonly Check[];
  /** All that has to be there before work can be done. */
  readonly readyz: readonly Check[];
}

export interface HealthServer {
  readonly port: number;
  /** Connections that are open are cut. May be called twice. */
  close(): Promise<void>;
}

/** As livenessprobe's --probe-timeout. */
const answerWithinMs = 3000;

/** Resolves when it answers. Port 0: any that is free. Rejects with the system's error when the port can't be had. */
export async function startHealth(
  at: { readonly host?: string; readonly port: number },
  checks: HealthChecks,
  /** Milliseconds for each check; absent: 3,000. */
  timeoutMs = answerWithinMs,
): Promise<HealthServer> {
  const server = createServer({ requestTimeout: 10_000, keepAliveTimeout: 1000 }, (request, response) => {
    // Not as a URL: what is none must not throw here.
    const [path = "", query = ""] = (request.url ?? "").split("?");
    const asked = new Map(Object.entries(checks)).get(path.slice(1)) as readonly Check[] | undefined;
    if (asked === undefined) return answer(response, 404, "there are /healthz, /livez and /readyz\n");
    if (request.method !== "GET" && request.method !== "HEAD") return answer(response, 405, "only GET and HEAD\n");
    void Promise.all(asked.map((check) => outcome(check, timeoutMs))).then((results) => {
      const wrong = results.some(({ why }) => why !== undefined);
      const lines = results.map(({ name, why }) => (why === undefined ? `[+]${name} ok` : `[-]${name}: ${why}`));
      const told = wrong || query.split("&").includes("verbose") ? `${lines.join("\n")}\n` : "ok";
      answer(response, wrong ? 500 : 200, told);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port: at.port, ...(at.host === undefined ? {} : { host: at.host }) }, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
  response.end(text);
}

async function outcome(check: Check, timeoutMs: number): Promise<{ readonly name: string; readonly why?: string }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer within ${timeoutMs} ms`), timeoutMs);
  });
  try {
    const why = await Promise.race([check.run(), late]);
    return { name: check.name, ...(why === undefined ? {} : { why: oneLine(why) }) };
  } catch (error) {
    return { name: check.name, why: oneLine(error instanceof Error ? error.message : String(error)) };
  } finally {
    clearTimeout(timer);
  }
}

function oneLine(text: string): string {
  return text.replace(/\p{Cc}+/gu, " ");
}
