/** Writes to snapshots and their contents. Each puts what the server answered into the informer, so that the next look sees it. */
import type { Informer } from "../api/informer.ts";
import { patchNewest, refOf } from "../api/patch-newest.ts";
import type { ApiObject, Resource } from "../api/resources.ts";
import type { HelperContext } from "../helper.ts";
import { timestamp } from "./told.ts";

type Writer = Pick<HelperContext, "api">;

/** Sets or, with null, removes an annotation; nothing is written where it is so already. Gives back the newest version. */
export async function annotate<T extends ApiObject>(
  { api }: Writer,
  resource: Resource<T>,
  informer: Informer<T>,
  object: T,
  key: string,
  value: string | null,
): Promise<T> {
  if ((object.metadata?.annotations?.[key] ?? null) === value) return object;
  const written = await api.patch(resource, refOf(object), {
    metadata: { uid: object.metadata?.uid, annotations: { [key]: value } },
  });
  informer.put(written);
  return written;
}

/** Adds the finalizers that are missing, in this order; nothing is written where none is. */
export function withFinalizers<T extends ApiObject>(
  { api }: Writer,
  resource: Resource<T>,
  informer: Informer<T>,
  object: T,
  ...finalizers: readonly string[]
): Promise<T> {
  return written(api, resource, informer, object, undefined, ({ metadata }) => {
    const there = metadata?.finalizers ?? [];
    const missing = finalizers.filter((each) => !there.includes(each));
    return missing.length === 0 ? undefined : { metadata: { finalizers: [...there, ...missing] } };
  });
}

/** Takes finalizers away; nothing is written where they are not there. Tries again when somebody else wrote meanwhile. */
export function withoutFinalizers<T extends ApiObject>(
  { api }: Writer,
  resource: Resource<T>,
  informer: Informer<T>,
  object: T,
  ...finalizers: readonly string[]
): Promise<T> {
  return written(api, resource, informer, object, undefined, ({ metadata }) => {
    const there = metadata?.finalizers ?? [];
    const kept = there.filter((each) => !finalizers.includes(each));
    return kept.length === there.length ? undefined : { metadata: { finalizers: kept } };
  });
}

/**
 * Writes what `change` makes of the newest status, as a merge patch; undefined: nothing. It is asked again with the newest version
 * when somebody else wrote meanwhile. Gives back the newest version.
 */
export function changeStatus<T extends ApiObject & { readonly status?: unknown }>(
  { api }: Writer,
  resource: Resource<T>,
  informer: Informer<T>,
  object: T,
  change: (status: T["status"]) => object | undefined,
): Promise<T> {
  return written(api, resource, informer, object, "status", ({ status }) => {
    const changed = change(status);
    return changed && { status: changed };
  });
}

/** The status after a failure; undefined: it says so already. */
export function failedStatus(
  status: { readonly error?: { readonly message?: string } } | undefined,
  message: string,
): object | undefined {
  if (status?.error?.message === message) return undefined;
  return { error: { message, time: timestamp() }, readyToUse: false };
}

async function written<T extends ApiObject>(
  api: Writer["api"],
  resource: Resource<T>,
  informer: Informer<T>,
  object: T,
  subresource: "status" | undefined,
  change: Parameters<typeof patchNewest<T>>[3],
): Promise<T> {
  const newest = await patchNewest(api, resource, object, change, subresource);
  if (newest !== object) informer.put(newest);
  return newest;
}
