/** Finalizers that keep a source while its content is copied. */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { isForbidden, isNotFound } from "../api/api-error.ts";
import { type ApiObject, claims, type Resource, volumeSnapshots } from "../api/resources.ts";
import type { VolumeSnapshot } from "../api/snapshot-types.ts";
import type { Provisioner } from "./context.ts";
import { cloneFinalizer, restoreFinalizer } from "./names.ts";
import type { Plan } from "./plan.ts";
import { askedOf } from "./sources.ts";

/**
 * Before the driver is asked, each time: whoever did it before may have been killed. A source that is gone, or that this account may not
 * write, is left: the driver will say what it thinks of it. Conflict when another writes it at the same moment.
 */
export async function protect(provisioner: Provisioner, { from, claim: { namespace, name } }: Plan): Promise<void> {
  if (from === undefined) return;
  const ref = { name: from.name, namespace };
  try {
    if (from.kind === "snapshot") {
      const snapshot = await provisioner.api.find(volumeSnapshots, ref);
      if (snapshot) await put(provisioner, volumeSnapshots, snapshot, restoreFinalizer);
    } else {
      const source = await provisioner.api.find(claims, ref);
      if (source) await put(provisioner, claims, source, cloneFinalizer);
    }
  } catch (error) {
    if (!isForbidden(error)) throw error;
    provisioner.log.debug(
      { claim: `${namespace}/${name}`, source: from.name },
      "the source can't be protected meanwhile",
    );
  }
}

/**
 * When the volume's object is there, or will never be: unless another is being made from the same snapshot. Of two that end at the same moment
 * both may do it. May be called twice.
 */
export async function releaseSnapshot(provisioner: Provisioner, { from, claim }: Plan): Promise<void> {
  if (from?.kind !== "snapshot") return;
  const { api, intents, ending } = provisioner;
  const needs = (other: Plan) =>
    other.from?.kind === "snapshot" && other.from.name === from.name && other.claim.namespace === claim.namespace;
  ending.add(claim.uid);
  try {
    if (intents.all().some((other) => !ending.has(other.claim.uid) && needs(other))) return;
    const snapshot = await api.find(volumeSnapshots, { name: from.name, namespace: claim.namespace });
    if (snapshot) await take(provisioner, volumeSnapshots, snapshot, restoreFinalizer);
  } catch (error) {
    ending.delete(claim.uid);
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
  // What is being deleted gets no more finalizers.
  if (!had.includes(finalizer) && !object.metadata?.deletionTimestamp)
    await write(provisioner, kind, object, [...had, finalizer]);
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
