/** A claim must not go while a snapshot of it is being cut: a finalizer holds it. */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { isNotFound } from "../api/api-error.ts";
import { keyOf } from "../api/informer.ts";
import { claims as claimKind } from "../api/resources.ts";
import type { VolumeSnapshot } from "../api/snapshot-types.ts";
import { claimProtection } from "../snapshots/names.ts";
import { withFinalizers, withoutFinalizers } from "../snapshots/writer.ts";
import type { Controller } from "./context.ts";
import { isReady } from "./relations.ts";

/** Two snapshots of one claim must not have one take away what the other relies on: one at a time for each claim. */
const turns = new Map<string, Promise<unknown>>();

function inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
  const before = turns.get(key) ?? Promise.resolve();
  const mine = before.then(work, work);
  const settled = mine.catch(() => undefined);
  turns.set(key, settled);
  void settled.then(() => {
    if (turns.get(key) === settled) turns.delete(key);
  });
  return mine;
}

/** Throws when the claim is being deleted. */
export async function protectClaim(controller: Controller, claim: PersistentVolumeClaim): Promise<void> {
  const { claims } = controller;
  const { name = "", namespace } = claim.metadata ?? {};
  await inTurn(keyOf(name, namespace), async () => {
    const newest = claims.get(name, namespace) ?? claim;
    if (newest.metadata?.finalizers?.includes(claimProtection)) return;
    if (newest.metadata?.deletionTimestamp !== undefined) throw new Error(`the claim ${name} is being deleted`);
    await withFinalizers(controller, claimKind, claims, newest, claimProtection);
  });
}

/** Lets the snapshot's claim go when no snapshot of it is being cut any more. `ending`: this snapshot no longer counts. */
export async function releaseClaim(controller: Controller, snapshot: VolumeSnapshot, ending = false): Promise<void> {
  const { claims, snapshots } = controller;
  const name = snapshot.spec.source.persistentVolumeClaimName;
  const namespace = snapshot.metadata?.namespace;
  if (name === undefined) return;
  const key = keyOf(name, namespace);
  await inTurn(key, async () => {
    const claim = claims.get(name, namespace);
    if (claim === undefined || !claim.metadata?.finalizers?.includes(claimProtection)) return;
    const used = snapshots
      .by("claim", key)
      .some((each) => !isReady(each) && !(ending && each.metadata?.name === snapshot.metadata?.name));
    if (used) return;
    try {
      await withoutFinalizers(controller, claimKind, claims, claim, claimProtection);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  });
}
