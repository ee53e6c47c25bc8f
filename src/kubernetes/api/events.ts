/**
 * Events on objects, for `kubectl describe`: the same word again raises a count instead of making another, and too many
 * are dropped, for they are a courtesy and must not cost the API server more than the work itself.
 */
import { randomBytes } from "node:crypto";
import type { ObjectReference } from "kubernetes-types/core/v1.js";
import type { Log } from "../../observe/log.ts";
import { isNotFound } from "./api-error.ts";
import type { ApiClient } from "./client.ts";
import { type ApiObject, apiVersionOf, events, type Resource } from "./resources.ts";

export interface EventRecorder {
  /** `reason` is one word in CamelCase, `message` what a person needs. Returns at once; a lost event is only logged. */
  normal<T extends ApiObject>(resource: Resource<T>, object: T, reason: string, message: string): void;
  warning<T extends ApiObject>(resource: Resource<T>, object: T, reason: string, message: string): void;
  /** Settles when what was said has been sent or given up. */
  flush(): Promise<void>;
}

/** An event lives an hour by default (kube-apiserver --event-ttl): after half of it a count can't be raised safely. */
const rememberMs = 30 * 60_000;
const mostRemembered = 1000;
const mostWaiting = 200;
/** The API server refuses longer ones. */
const longestMessage = 1024;

interface Said {
  readonly name: string;
  readonly namespace: string;
  count: number;
  at: number;
}

/** `component` is who says it, as `local.csi.holdfast`; `host` the node, where there is one. */
export function openEvents(
  client: ApiClient,
  source: { readonly component: string; readonly host?: string },
  log: Log,
): EventRecorder {
  const said = new Map<string, Said>();
  let last: Promise<void> = Promise.resolve();
  let waiting = 0;

  const send = async (object: ObjectReference, type: string, reason: string, message: string) => {
    const key = [object.uid, type, reason, message].join("\n");
    const known = said.get(key);
    const now = new Date();
    const lastTimestamp = now.toISOString().replace(/\.\d+Z$/, "Z");
    if (known !== undefined && now.getTime() - known.at < rememberMs) {
      try {
        await client.patch(events, known, { count: known.count + 1, lastTimestamp });
        known.count++;
        return;
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
    const namespace = object.namespace ?? "default";
    const name = `${object.name}.${randomBytes(8).toString("hex")}`;
    await client.create(events, {
      metadata: { name, namespace },
      involvedObject: object,
      type,
      reason,
      message,
      count: 1,
      firstTimestamp: lastTimestamp,
      lastTimestamp,
      source: { ...source },
      reportingComponent: source.component,
      reportingInstance: source.host ?? "",
    });
    said.delete(key);
    said.set(key, { name, namespace, count: 1, at: now.getTime() });
    for (const oldest of said.keys()) {
      if (said.size <= mostRemembered) break;
      said.delete(oldest);
    }
  };

  const say = <T extends ApiObject>(resource: Resource<T>, about: T, type: string, reason: string, message: string) => {
    const { name, namespace, uid, resourceVersion } = about.metadata ?? {};
    if (name === undefined || uid === undefined) return;
    if (waiting >= mostWaiting) {
      log.debug({ reason, object: name }, "too many events wait: one was dropped");
      return;
    }
    const object: ObjectReference = {
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      name,
      uid,
      ...(namespace !== undefined && { namespace }),
      ...(resourceVersion !== undefined && { resourceVersion }),
    };
    const text = message.length > longestMessage ? `${message.slice(0, longestMessage - 1)}…` : message;
    waiting++;
    last = last
      .then(() => send(object, type, reason, text))
      .catch((error: unknown) => log.debug({ reason, object: name, error: String(error) }, "an event was lost"))
      .finally(() => {
        waiting--;
      });
  };

  return {
    normal: (resource, object, reason, message) => say(resource, object, "Normal", reason, message),
    warning: (resource, object, reason, message) => say(resource, object, "Warning", reason, message),
    flush: () => last,
  };
}
