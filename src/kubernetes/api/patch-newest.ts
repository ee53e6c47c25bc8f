/** Writing what follows from an object's newest version, while others write it too. */
import { isConflict } from "./api-error.ts";
import type { ApiClient, Ref } from "./client.ts";
import type { ApiObject, Resource } from "./resources.ts";

const tries = 5;

/** By which requests name the object. */
export const refOf = ({ metadata }: ApiObject): Ref => ({
  name: metadata?.name ?? "",
  ...(metadata?.namespace !== undefined && { namespace: metadata.namespace }),
});

/**
 * Writes what `change` makes of the newest version, as a merge patch that names its version and UID; undefined: nothing is
 * written. `change` is asked again, up to five times, when somebody else wrote meanwhile. Gives back the newest version. An ApiError where the
 * object is gone; the Conflict, where it is another one of the same name by now.
 */
export async function patchNewest<T extends ApiObject>(
  api: Pick<ApiClient, "get" | "patch">,
  resource: Resource<T>,
  object: T,
  change: (newest: T) => { readonly metadata?: object; readonly status?: object } | undefined,
  subresource?: "status",
): Promise<T> {
  const ref = refOf(object);
  let newest = object;
  for (let attempt = 1; ; attempt++) {
    const patch = change(newest);
    if (patch === undefined) return newest;
    const { uid, resourceVersion } = newest.metadata ?? {};
    const body = { ...patch, metadata: { ...patch.metadata, uid, resourceVersion } };
    try {
      return await api.patch(resource, ref, body, subresource && { subresource });
    } catch (error) {
      if (!isConflict(error) || attempt === tries) throw error;
      newest = await api.get(resource, ref);
      if (newest.metadata?.uid !== uid) throw error;
    }
  }
}
