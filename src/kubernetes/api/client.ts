/** Reading and writing objects of the Kubernetes API. Every method throws an ApiError; none tries again by itself,
 * but for answers that ask for it (429 and 503 with Retry-After: the request was not begun). */
import { setTimeout as sleep } from "node:timers/promises";
import { ApiError, isNotFound } from "./api-error.ts";
import type { Cluster } from "./cluster.ts";
import { type ApiObject, apiVersionOf, pathOf, type Resource } from "./resources.ts";
import { openTransport, type Sent, type Transport } from "./transport.ts";

/** One object. `namespace` is required for kinds that live in one. */
export interface Ref {
  readonly name: string;
  readonly namespace?: string;
}

export interface CallLimits {
  readonly signal?: AbortSignal;
  /** Absent: 30,000. */
  readonly timeoutMs?: number;
}

export interface ListOptions extends CallLimits {
  /** Absent: all. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Only the metadata of each object travels. */
  readonly metadataOnly?: boolean;
}

export type PatchType = "merge" | "strategic" | "json" | "apply";

export interface PatchOptions extends CallLimits {
  /** Absent: merge (RFC 7396), where null removes a key and lists are replaced whole. `apply` needs `fieldManager`. */
  readonly type?: PatchType;
  readonly subresource?: "status";
  readonly fieldManager?: string;
  /** Takes over fields that others own; only with `apply`. */
  readonly force?: boolean;
}

export interface DeleteOptions extends CallLimits {
  /** Only this very object: a successor of the same name is a Conflict. */
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly propagation?: "Background" | "Foreground" | "Orphan";
}

/** A page of a list and where the next begins. */
export interface Page<T> {
  readonly items: T[];
  readonly resourceVersion: string;
  /** Absent: this was the last. */
  readonly next?: string;
}

export type WatchEvent<T> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK"; readonly object: T }
  | { readonly type: "ERROR"; readonly object: { readonly code?: number; readonly message?: string } };

export interface ApiClient {
  readonly cluster: Cluster;
  get<T extends ApiObject>(resource: Resource<T>, ref: Ref, limits?: CallLimits): Promise<T>;
  /** Absent: there is no such object. */
  find<T extends ApiObject>(resource: Resource<T>, ref: Ref, limits?: CallLimits): Promise<T | undefined>;
  /** All of them, read page by page. */
  list<T extends ApiObject>(resource: Resource<T>, options?: ListOptions): Promise<T[]>;
  page<T extends ApiObject>(resource: Resource<T>, options: ListOptions, next?: string): Promise<Page<T>>;
  /** `kind` and `apiVersion` are filled in. AlreadyExists when there is one of that name. */
  create<T extends ApiObject>(resource: Resource<T>, object: T, limits?: CallLimits): Promise<T>;
  /** PUT: Conflict when it was written since `object` was read. */
  replace<T extends ApiObject>(
    resource: Resource<T>,
    object: T,
    options?: CallLimits & { readonly subresource?: "status" },
  ): Promise<T>;
  /** With `metadata.resourceVersion` in the patch: Conflict when it was written since. */
  patch<T extends ApiObject>(resource: Resource<T>, ref: Ref, patch: unknown, options?: PatchOptions): Promise<T>;
  /** May be called twice: that there is none is fine. An object with finalizers goes later. */
  delete<T extends ApiObject>(resource: Resource<T>, ref: Ref, options?: DeleteOptions): Promise<void>;
  watch<T extends ApiObject>(
    resource: Resource<T>,
    options: ListOptions & { readonly resourceVersion: string; readonly lastsSeconds: number },
  ): AsyncGenerator<WatchEvent<T>, void, undefined>;
  /** Anything else, as a SelfSubjectAccessReview or /version. */
  send(sent: Sent): Promise<unknown>;
  /** As a transport's: a write follows in a moment. */
  warm(): void;
  close(): void;
}

const pageSize = 500;
const longestWaitMs = 10_000;
const tries = 5;
const patchTypes: Readonly<Record<PatchType, string>> = {
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  json: "application/json-patch+json",
  apply: "application/apply-patch+yaml",
};
const metadataItem = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const metadataList = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/** A client of `cluster`; connects with the first request. `userAgent` is what the API server's audit log shows. */
export function openClient(cluster: Cluster, userAgent: string): ApiClient {
  const transport = openTransport(cluster, userAgent);
  return clientOf(cluster, transport);
}

function clientOf(cluster: Cluster, transport: Transport): ApiClient {
  const send = async (sent: Sent): Promise<unknown> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await transport.send(sent);
      } catch (error) {
        const asked = error instanceof ApiError && (error.status === 429 || error.status === 503);
        if (!asked || error.retryAfterMs === undefined || attempt === tries) throw error;
        await sleep(Math.min(error.retryAfterMs, longestWaitMs), undefined, sent.signal && { signal: sent.signal });
      }
    }
  };
  const limitsOf = (limits: CallLimits = {}) => ({
    ...(limits.signal && { signal: limits.signal }),
    ...(limits.timeoutMs !== undefined && { timeoutMs: limits.timeoutMs }),
  });
  const pathTo = (resource: Resource<ApiObject>, ref: Ref, subresource?: string) => {
    if (resource.namespaced && !ref.namespace) throw new Error(`${resource.kind} ${ref.name} without its namespace`);
    return pathOf(resource, ref.namespace, ref.name, subresource);
  };
  const refOf = (resource: Resource<ApiObject>, { metadata }: ApiObject): Ref => {
    if (!metadata?.name) throw new Error(`a ${resource.kind} without a name`);
    return { name: metadata.name, ...(metadata.namespace !== undefined && { namespace: metadata.namespace }) };
  };
  const stamped = <T extends ApiObject>(resource: Resource<T>, object: T) => ({
    ...object,
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
  });
  const selected = (options: ListOptions) => ({
    labelSelector: options.labelSelector,
    fieldSelector: options.fieldSelector,
  });

  const client: ApiClient = {
    cluster,
    send,
    warm: () => transport.warm(),
    close: () => transport.close(),

    async get<T extends ApiObject>(resource: Resource<T>, ref: Ref, limits?: CallLimits) {
      return (await send({ method: "GET", path: pathTo(resource, ref), ...limitsOf(limits) })) as T;
    },

    async find(resource, ref, limits) {
      try {
        return await client.get(resource, ref, limits);
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },

    async list<T extends ApiObject>(resource: Resource<T>, options: ListOptions = {}) {
      const items: T[] = [];
      let next: string | undefined;
      do {
        const page: Page<T> = await client.page(resource, options, next);
        items.push(...page.items);
        next = page.next;
      } while (next !== undefined);
      return items;
    },

    async page<T extends ApiObject>(resource: Resource<T>, options: ListOptions, next?: string) {
      const answer = (await send({
        method: "GET",
        path: pathOf(resource, options.namespace),
        query: { ...selected(options), limit: pageSize, continue: next },
        ...(options.metadataOnly && { accept: metadataList }),
        ...limitsOf(options),
      })) as { items?: T[]; metadata?: { resourceVersion?: string; continue?: string } };
      const more = answer.metadata?.continue;
      return {
        items: answer.items ?? [],
        resourceVersion: answer.metadata?.resourceVersion ?? "",
        ...(more && { next: more }),
      };
    },

    async create<T extends ApiObject>(resource: Resource<T>, object: T, limits?: CallLimits) {
      const path = pathOf(resource, object.metadata?.namespace);
      return (await send({ method: "POST", path, body: stamped(resource, object), ...limitsOf(limits) })) as T;
    },

    async replace<T extends ApiObject>(
      resource: Resource<T>,
      object: T,
      options: CallLimits & { readonly subresource?: "status" } = {},
    ) {
      const path = pathTo(resource, refOf(resource, object), options.subresource);
      return (await send({ method: "PUT", path, body: stamped(resource, object), ...limitsOf(options) })) as T;
    },

    async patch<T extends ApiObject>(resource: Resource<T>, ref: Ref, patch: unknown, options: PatchOptions = {}) {
      const type = options.type ?? "merge";
      return (await send({
        method: "PATCH",
        path: pathTo(resource, ref, options.subresource),
        query: { fieldManager: options.fieldManager, force: options.force },
        contentType: patchTypes[type],
        body: type === "apply" ? stamped(resource, patch as T) : patch,
        ...limitsOf(options),
      })) as T;
    },

    async delete(resource, ref, options = {}) {
      const preconditions = {
        ...(options.uid !== undefined && { uid: options.uid }),
        ...(options.resourceVersion !== undefined && { resourceVersion: options.resourceVersion }),
      };
      const body = {
        apiVersion: "v1",
        kind: "DeleteOptions",
        ...(Object.keys(preconditions).length > 0 && { preconditions }),
        ...(options.propagation !== undefined && { propagationPolicy: options.propagation }),
      };
      try {
        await send({ method: "DELETE", path: pathTo(resource, ref), body, ...limitsOf(options) });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },

    watch<T extends ApiObject>(
      resource: Resource<T>,
      options: ListOptions & { readonly resourceVersion: string; readonly lastsSeconds: number },
    ) {
      return transport.stream({
        method: "GET",
        path: pathOf(resource, options.namespace),
        query: {
          ...selected(options),
          watch: true,
          allowWatchBookmarks: true,
          resourceVersion: options.resourceVersion,
          timeoutSeconds: options.lastsSeconds,
        },
        ...(options.metadataOnly && { accept: metadataItem }),
        ...limitsOf(options),
      }) as AsyncGenerator<WatchEvent<T>, void, undefined>;
    },
  };
  return client;
}
