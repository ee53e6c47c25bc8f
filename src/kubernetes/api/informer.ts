/**
 * A copy of a collection that follows the API server: list, then watch, then list again when the server has forgotten
 * where the watch was. What is in it may be seconds old: before an act that can't be undone, read the object itself.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../../observe/log.ts";
import { isExpired, isNotFound } from "./api-error.ts";
import type { ApiClient } from "./client.ts";
import type { ApiObject, Resource } from "./resources.ts";

export interface Change<T> {
  readonly kind: "added" | "changed" | "removed";
  /** As it is now; for `removed` as it was last seen. */
  readonly object: T;
  /** As it was before; only for `changed`. */
  readonly before?: T;
}

export interface InformerOptions<T> {
  /** Absent: all. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Only the metadata of each object travels and is kept. */
  readonly metadataOnly?: boolean;
  /** What is kept of an object: less of it saves memory; undefined drops it as if it did not exist. */
  readonly keep?: (object: T) => T | undefined;
  /** Ways to find objects: from an object to the values under which it is found. */
  readonly indexes?: Readonly<Record<string, (object: T) => readonly string[]>>;
  /** The first list waits a random part of this, in milliseconds, so that a thousand nodes don't ask at once. Absent: 0. */
  readonly jitterMs?: number;
  /** How long until a kind that the cluster does not know is asked for again, in milliseconds. Absent: 15,000. */
  readonly absentMs?: number;
}

export interface Informer<T> {
  /** Settles with the first whole list, or when the cluster does not know the kind; rejects when it was stopped before. */
  readonly synced: Promise<void>;
  readonly hasSynced: () => boolean;
  /** Its watch runs, as far as is known: while it is broken off, what is here may be old by more than a moment. */
  readonly isFollowing: () => boolean;
  get(name: string, namespace?: string): T | undefined;
  all(): IterableIterator<T>;
  /** The objects that `indexes[index]` gave this value. */
  by(index: string, value: string): readonly T[];
  /** Told of every change, and first of all that is there. Must not throw. Gives back how to end it. */
  on(handler: (change: Change<T>) => void): () => void;
  /** Puts a newer version in, as the answer to a write of ours, so that the next look does not see the older. */
  put(object: T): void;
}

const firstWaitMs = 500;
const longestWaitMs = 30_000;
const watchSeconds = 300;
const absentMs = 15_000;
const shortestWatchMs = 1_000;
const mostGone = 200;

export const keyOf = (name: string, namespace?: string): string =>
  namespace === undefined || namespace === "" ? name : `${namespace}/${name}`;

/** The key of an object in queues and caches: `namespace/name`, or the name where there is no namespace. */
export const keyOfObject = ({ metadata }: ApiObject): string => keyOf(metadata?.name ?? "", metadata?.namespace);

/** Runs until `signal`. A server that can't be reached is asked again for ever, ever more slowly, up to 30 seconds. */
export function startInformer<T extends ApiObject>(
  client: ApiClient,
  resource: Resource<T>,
  options: InformerOptions<T>,
  log: Log,
  signal: AbortSignal,
): Informer<T> {
  const objects = new Map<string, T>();
  const indexes = new Map(Object.keys(options.indexes ?? {}).map((name) => [name, new Map<string, Set<string>>()]));
  /** What was removed of late, by UID, and in which version: an answer to a write may arrive after the news of the removal. */
  const gone = new Map<string, string>();
  const handlers = new Set<(change: Change<T>) => void>();
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => undefined);
  let synced = false;
  let following = false;

  const enter = (key: string, object: T, present: boolean) => {
    for (const [name, index] of indexes) {
      for (const value of options.indexes?.[name]?.(object) ?? []) {
        const keys = index.get(value) ?? new Set();
        if (present) index.set(value, keys.add(key));
        else if (keys.delete(key) && keys.size === 0) index.delete(value);
      }
    }
  };
  const tell = (change: Change<T>) => {
    for (const handler of handlers) handler(change);
  };
  const remove = (key: string, version?: string) => {
    const before = objects.get(key);
    if (before === undefined) return;
    objects.delete(key);
    if (version !== undefined) gone.set(before.metadata?.uid ?? "", version);
    for (const oldest of gone.keys()) {
      if (gone.size <= mostGone) break;
      gone.delete(oldest);
    }
    enter(key, before, false);
    tell({ kind: "removed", object: before });
  };
  const put = (received: T) => {
    const key = keyOfObject(received);
    // What only left the selection may come back with a newer version.
    const goneAt = gone.get(received.metadata?.uid ?? "");
    if (goneAt !== undefined && !isLater(received.metadata?.resourceVersion, goneAt)) return;
    // The answer to a write that took the last finalizer away: its removal was told already, or will be.
    if (
      received.metadata?.deletionTimestamp !== undefined &&
      !received.metadata.finalizers?.length &&
      !objects.has(key)
    )
      return;
    const before = objects.get(key);
    if (before !== undefined && !isNewer(received, before)) return;
    const object = options.keep ? options.keep(received) : received;
    if (object === undefined) {
      remove(key);
      return;
    }
    if (before !== undefined) enter(key, before, false);
    objects.set(key, object);
    enter(key, object, true);
    tell(before === undefined ? { kind: "added", object } : { kind: "changed", object, before });
  };

  const selection = {
    ...(options.namespace !== undefined && { namespace: options.namespace }),
    ...(options.labelSelector !== undefined && { labelSelector: options.labelSelector }),
    ...(options.fieldSelector !== undefined && { fieldSelector: options.fieldSelector }),
    ...(options.metadataOnly !== undefined && { metadataOnly: options.metadataOnly }),
    signal,
  };

  const listAll = async (): Promise<string> => {
    const seen = new Set<string>();
    let version: string;
    let next: string | undefined;
    do {
      const page = await client.page(resource, selection, next);
      for (const object of page.items) {
        seen.add(keyOfObject(object));
        put(object);
      }
      version = page.resourceVersion;
      next = page.next;
    } while (next !== undefined);
    for (const key of [...objects.keys()]) if (!seen.has(key)) remove(key, version);
    return version;
  };

  const follow = async (from: string): Promise<string> => {
    let version = from;
    // Not all at the same time, and not for ever: a watch that died unseen is then replaced.
    const lastsSeconds = Math.round(watchSeconds * (1 + Math.random()));
    const limit = AbortSignal.any([signal, AbortSignal.timeout((lastsSeconds + 30) * 1000)]);
    for await (const event of client.watch(resource, {
      ...selection,
      signal: limit,
      resourceVersion: version,
      lastsSeconds,
    })) {
      if (event.type === "ERROR") throw Object.assign(new Error(event.object.message), { code: event.object.code });
      version = event.object.metadata?.resourceVersion ?? version;
      if (event.type === "DELETED") remove(keyOfObject(event.object), version);
      else if (event.type !== "BOOKMARK") put(event.object);
    }
    return version;
  };

  const run = async () => {
    await sleep(Math.random() * (options.jitterMs ?? 0), undefined, { signal });
    let version: string | undefined;
    let failures = 0;
    let absent = false;
    while (!signal.aborted) {
      const began = performance.now();
      try {
        if (version === undefined) {
          version = await listAll();
          absent = false;
          if (!synced) {
            synced = true;
            ready.resolve();
          }
        }
        following = true;
        version = await follow(version);
        // A server that ends each watch as it begins is not asked without a pause.
        failures = performance.now() - began < shortestWatchMs ? failures + 1 : 0;
      } catch (error) {
        following = false;
        if (signal.aborted) break;
        // A watch that ran for a while ended for a reason of its own: the next begins at once.
        if (performance.now() - began > longestWaitMs) failures = 0;
        if (isExpired(error) || (error as { code?: unknown }).code === 410) {
          version = undefined;
          // One that forgets at once would else be listed without a pause.
          if (performance.now() - began < shortestWatchMs) failures++;
        } else if (isNotFound(error)) {
          // A custom resource whose definition is not installed, or not any more: there are none until it is.
          for (const key of [...objects.keys()]) remove(key);
          version = undefined;
          failures = 0;
          if (!absent) log.debug({ kind: resource.kind }, "the cluster does not know this kind");
          absent = true;
          synced = true;
          ready.resolve();
          await sleep(options.absentMs ?? absentMs, undefined, { signal });
        } else {
          failures++;
          const level = failures > 2 ? "warn" : "debug";
          log[level](
            { kind: resource.kind, failures, error: messageOf(error) },
            "the API server's list or watch broke off",
          );
        }
      }
      if (failures > 0) {
        const wait = Math.min(longestWaitMs, firstWaitMs * 2 ** (failures - 1));
        await sleep(wait * (0.5 + Math.random() / 2), undefined, { signal });
      }
    }
  };
  void run()
    .catch(() => undefined)
    .finally(() => ready.reject(new Error(`stopped before the first list of ${resource.plural}`)));

  return {
    synced: ready.promise,
    hasSynced: () => synced,
    isFollowing: () => following,
    get: (name, namespace) => objects.get(keyOf(name, namespace)),
    all: () => objects.values(),
    by(index, value) {
      const found: T[] = [];
      for (const key of indexes.get(index)?.get(value) ?? []) {
        const object = objects.get(key);
        if (object !== undefined) found.push(object);
      }
      return found;
    },
    on(handler) {
      handlers.add(handler);
      for (const object of objects.values()) handler({ kind: "added", object });
      return () => handlers.delete(handler);
    },
    put,
  };
}

const isNewer = (received: ApiObject, known: ApiObject): boolean =>
  received.metadata?.uid !== known.metadata?.uid ||
  isLater(received.metadata?.resourceVersion, known.metadata?.resourceVersion);

/**
 * Resource versions of one collection are comparable numbers from Kubernetes 1.35 on by promise and before by practice;
 * where they are not numbers, what comes later wins.
 */
function isLater(now = "", then = ""): boolean {
  if (!/^\d+$/.test(now) || !/^\d+$/.test(then)) return now !== then;
  return BigInt(now) > BigInt(then);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
