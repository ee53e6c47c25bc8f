/** Speaks to the API server for tests; not the client under test, so that a fault there cannot hide itself. */
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import type { Certificate } from "./certificates.ts";

/** An answer that is not 2xx, with the Status object's reason, as "NotFound" or "Conflict". */
export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;
  constructor(status: number, reason: string, message: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.reason = reason;
  }
}

/** Paths are the server's own, as `/api/v1/nodes/n1`. Answers are taken as `T` without a check. */
export interface Api {
  get<T>(path: string): Promise<T>;
  /** undefined instead of the error NotFound. */
  find<T>(path: string): Promise<T | undefined>;
  /** The items of a list. */
  list<T>(path: string): Promise<T[]>;
  create<T>(path: string, body: object): Promise<T>;
  replace<T>(path: string, body: object): Promise<T>;
  /** A merge patch (RFC 7396); `null` takes a field away. */
  merge<T>(path: string, patch: object): Promise<T>;
  /** An object that is not there is no error. */
  remove(path: string): Promise<void>;
  close(): void;
}

export function openApi(server: string, authority: string, who: Certificate | { readonly token: string }): Api {
  const identity = "token" in who ? {} : { cert: readFileSync(who.certificate), key: readFileSync(who.key) };
  const agent = new Agent({ keepAlive: true, ca: readFileSync(authority), ...identity });
  const headers = "token" in who ? { authorization: `Bearer ${who.token}` } : {};

  const ask = <T>(method: string, path: string, body?: object, type = "application/json"): Promise<T> =>
    new Promise((resolve, reject) => {
      const sent = request(
        `${server}${path}`,
        { method, agent, headers: { ...headers, accept: "application/json", "content-type": type }, timeout: 15_000 },
        (answer) => {
          let text = "";
          answer.setEncoding("utf8").on("data", (part: string) => {
            text += part;
          });
          answer.on("error", reject);
          answer.on("end", () => {
            const status = answer.statusCode ?? 0;
            if (status >= 200 && status < 300) resolve((text.startsWith("{") ? JSON.parse(text) : text) as T);
            else reject(failure(method, path, status, text));
          });
        },
      );
      sent.on("error", reject);
      sent.on("timeout", () => sent.destroy(new Error(`${method} ${path}: no answer within 15 s`)));
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  const orAbsent = async <T>(answer: Promise<T>): Promise<T | undefined> => {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  };
  return {
    get: (path) => ask("GET", path),
    find: <T>(path: string) => orAbsent(ask<T>("GET", path)),
    list: async <T>(path: string) => (await ask<{ items: T[] }>("GET", path)).items,
    create: (path, body) => ask("POST", path, body),
    replace: (path, body) => ask("PUT", path, body),
    merge: (path, patch) => ask("PATCH", path, patch, "application/merge-patch+json"),
    remove: async (path) => {
      await orAbsent(ask("DELETE", path));
    },
    close: () => agent.destroy(),
  };
}

function failure(method: string, path: string, status: number, text: string): ApiError {
  const said = text.startsWith("{") ? (JSON.parse(text) as { reason?: string; message?: string }) : {};
  return new ApiError(status, said.reason ?? "", `${method} ${path}: ${status} ${said.message ?? text}`);
}
