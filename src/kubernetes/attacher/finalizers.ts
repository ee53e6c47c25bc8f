/** Putting a finalizer on an object and taking it off, while others do the same with theirs. */
import { isConflict, isNotFound } from "../api/api-error.ts";
import type { ApiClient } from "../api/client.ts";
import type { ApiObject, Resource } from "../api/resources.ts";

const tries = 5;

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
  return change(api, resource, object, ({ metadata }) => {
    const finalizers = metadata?.finalizers ?? [];
    const missing = Object.entries(annotations).filter(([key, value]) => metadata?.annotations?.[key] !== value);
    if (finalizers.includes(finalizer) && missing.length === 0) return undefined;
    return {
      ...(!finalizers.includes(finalizer) && { finalizers: [...finalizers, finalizer] }),
      ...(missing.length > 0 && { annotations: Object.fromEntries(missing) }),
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
    return await change(api, resource, object, ({ metadata }) => {
      const finalizers = metadata?.finalizers ?? [];
      if (!finalizers.includes(finalizer)) return undefined;
      return { finalizers: finalizers.filter((name) => name !== finalizer) };
    });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function change<T extends ApiObject>(
  api: ApiClient,
  resource: Resource<T>,
  object: T,
  wish: (now: T) => object | undefined,
): Promise<T> {
  let current = object;
  for (let attempt = 1; ; attempt++) {
    const metadata = wish(current);
    if (metadata === undefined) return current;
    const { name = "", namespace, uid, resourceVersion } = current.metadata ?? {};
    const ref = { name, ...(namespace !== undefined && { namespace }) };
    try {
      return await api.patch(resource, ref, { metadata: { ...metadata, uid, resourceVersion } });
    } catch (error) {
      if (!isConflict(error) || attempt === tries) throw error;
      const now = await api.get(resource, ref);
      if (now.metadata?.uid !== uid) throw error;
      current = now;
    }
  }
}
