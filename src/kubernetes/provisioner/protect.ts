/** Finalizers that keep a source while its content is copied. */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { isForbidden, isNotFound } from "../api/api-error.ts";
import { type ApiObject, claims, type Resource, volumeSnapshots } from "../api/resources.ts";
import type { VolumeSnapshot } from "../api/snapshot-types.ts";
import type { Provisioner } from "./context.ts";
import { cloneFinalizer, restoreFinalizer } from "./names.ts";
import { askedOf, type Found } from "./sources.ts";

/** Before the driver is asked. May be called twice. Conflict when the source was changed since it was read. */
export async function protect(provisioner: Provisioner, { claim, snapshot }: Found): Promise<void> {
  if (claim) await put(provisioner, claims, claim, cloneFinalizer);
  try {
    if (snapshot) await put(provisioner, volumeSnapshots, snapshot, restoreFinalizer);
  } catch (error) {
    // The upstream provisioner's rights of old did not include this, and it went without.
    if (!isForbidden(error)) throw error;
    provisioner.log.debug({ snapshot: snapshot?.metadata?.name }, "a snapshot can't be protected while it is restored");
  }
}

/** After the volume's object is there, or will never be: unless another claim waits for the same snapshot. */
export async function releaseSnapshot(provisioner: Provisioner, claim: PersistentVolumeClaim): Promise<void> {
  const { namespace = "", uid } = claim.metadata ?? {};
  const asked = sourceOf(claim);
  if (asked?.kind !== "snapshot") return;
  const others = provisioner.claims.by("source", sourceKey("snapshot", namespace, asked.name));
  const waits = ({ metadata, spec }: PersistentVolumeClaim) => !spec?.volumeName && !metadata?.deletionTimestamp;
  if (others.some((other) => other.metadata?.uid !== uid && waits(other))) return;
  try {
    const snapshot = await provisioner.api.find(volumeSnapshots, { name: asked.name, namespace });
    if (snapshot) await take(provisioner, volumeSnapshots, snapshot, restoreFinalizer);
  } catch (error) {
    if (!isForbidden(error)) throw error;
  }
}

/** A cloned claim that is being deleted goes when no clone of it is pending any more. False: one is. */
export async function releaseClaim(provisioner: Provisioner, source: PersistentVolumeClaim): Promise<boolean> {
  const { name = "", namespace = "" } = source.metadata ?? {};
  const clones = provisioner.claims.by("source", sourceKey("volume", namespace, name));
  if (clones.some(({ status }) => status?.phase === "Pending")) return false;
  const fresh = await provisioner.api.find(claims, { name, namespace });
  if (fresh && fresh.metadata?.uid === source.metadata?.uid) await take(provisioner, claims, fresh, cloneFinalizer);
  return true;
}

/** The index `source` of the claims. */
export const sourceKey = (kind: string, namespace: string, name: string): string => `${kind}/${namespace}/${name}`;

export function sourceKeysOf(claim: PersistentVolumeClaim): readonly string[] {
  const asked = sourceOf(claim);
  if (asked === undefined || asked.kind === "other") return [];
  return [sourceKey(asked.kind, claim.metadata?.namespace ?? "", asked.name)];
}

function sourceOf(claim: PersistentVolumeClaim) {
  try {
    return askedOf(claim);
  } catch {
    return undefined;
  }
}

type Guarded = PersistentVolumeClaim | VolumeSnapshot;

async function put<T extends Guarded>(provisioner: Provisioner, kind: Resource<T>, object: T, finalizer: string) {
  const had = object.metadata?.finalizers ?? [];
  if (!had.includes(finalizer)) await write(provisioner, kind, object, [...had, finalizer]);
}

async function take<T extends Guarded>(provisioner: Provisioner, kind: Resource<T>, object: T, finalizer: string) {
  const had = object.metadata?.finalizers ?? [];
  if (!had.includes(finalizer)) return;
  try {
    await write(
      provisioner,
      kind,
      object,
      had.filter((each) => each !== finalizer),
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** A list in a merge patch takes the place of the whole list: the version makes it a Conflict when another wrote it. */
async function write<T extends ApiObject>({ api }: Provisioner, kind: Resource<T>, object: T, finalizers: string[]) {
  const { name = "", namespace = "", resourceVersion, uid } = object.metadata ?? {};
  await api.patch(kind, { name, namespace }, { metadata: { uid, resourceVersion, finalizers } });
}
