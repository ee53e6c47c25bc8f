/** Putting a finalizer on an object and taking it off, while others do the same with theirs. */
import { isNotFound } from "../api/api-error.ts";
import type { ApiClient } from "../api/client.ts";
import { patchNewest } from "../api/patch-newest.ts";
import type { ApiObject, Resource } from "../api/resources.ts";

/**
 * The object with the finalizer, and with `annotations` where they are given. Writes nothing when all is there. May be
 * called twice. An ApiError where the object is gone, is another one by now, or is being deleted: then none can be added.
 */
export function withFinalizer<T extends ApiObject>(
  api: ApiClient,
  resource: Resource<T>,
  object: T,
  finalizer: string,
  annotations: Readonly<Record<string, string>> = {},
): Promise<T> {
  return patchNewest(api, resource, object, ({ metadata }) => {
    const finalizers = metadata?.finalizers ?? [];
    const missing = Object.entries(annotations).filter(([key, value]) => metadata?.annotations?.[key] !== value);
    if (finalizers.includes(finalizer) && missing.length === 0) return undefined;
    return {
      metadata: {
        ...(!finalizers.includes(finalizer) && { finalizers: [...finalizers, finalizer] }),
        ...(missing.length > 0 && { annotations: Object.fromEntries(missing) }),
      },
    };
  });
}

/** The object without the finalizer; undefined: it is gone. May be called twice. */
export async function withoutFinalizer<T extends ApiObject>(
  api: ApiClient,
  resource: Resource<T>,
  object: T,
  finalizer: string,
): Promise<T | undefined> {
  try {
    return await patchNewest(api, resource, object, ({ metadata }) => {
      const finalizers = metadata?.finalizers ?? [];
      if (!finalizers.includes(finalizer)) return undefined;
      return { metadata: { finalizers: finalizers.filter((name) => name !== finalizer) } };
    });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
