/**
 * A node that is gone for ever, with its disks: nobody is left who could delete its volumes and snapshots, so their
 * objects would wait for ever. An administrator says so, and they go.
 */
import { isNotFound } from "../api/api-error.ts";
import type { ApiClient, Ref } from "../api/client.ts";
import {
  type ApiObject,
  claims,
  persistentVolumes,
  type Resource,
  volumeSnapshotContents,
  volumeSnapshots,
} from "../api/resources.ts";
import type { Belongings } from "./belongings.ts";

/**
 * Deletes the node's volumes and snapshot contents from the cluster, and takes away the finalizers that nobody would. With `claimsToo` also the
 * claims and snapshots that were bound to them, so that new ones can be made. May be called again: it goes on where it was cut short. `tell` is
 * called for each object that went.
 */
export async function forget(
  api: ApiClient,
  { volumes, claims: bound, contents }: Belongings,
  claimsToo: boolean,
  tell: (what: string) => void,
): Promise<void> {
  if (claimsToo) {
    for (const { spec } of contents) {
      const { namespace, name, uid } = spec.volumeSnapshotRef;
      const snapshot = await api.find(volumeSnapshots, { namespace, name });
      if (snapshot !== undefined && snapshot.metadata?.uid === uid) await remove(api, volumeSnapshots, snapshot, tell);
    }
  }
  for (const content of contents) await remove(api, volumeSnapshotContents, content, tell);
  if (claimsToo) for (const claim of bound) await remove(api, claims, claim, tell);
  for (const volume of volumes) await remove(api, persistentVolumes, volume, tell);
}

/** Deletes this very object and takes its finalizers away; a successor of the same name stays. */
export async function remove<T extends ApiObject>(
  api: ApiClient,
  resource: Resource<T>,
  object: T,
  tell: (what: string) => void,
): Promise<void> {
  const { name = "", namespace, uid = "" } = object.metadata ?? {};
  const ref: Ref = { name, ...(namespace !== undefined && { namespace }) };
  await api.delete(resource, ref, { uid });
  try {
    await api.patch(resource, ref, { metadata: { uid, finalizers: null } });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  tell(`${resource.kind} ${namespace === undefined ? "" : `${namespace}/`}${name}`);
}
