/**
 * Volumes that are made while the controller-manager still writes that it wants them: some milliseconds of each claim. What is written in
 * the cluster waits for its word. A volume that it does not ask for stays as long as its claim wants one of this node, for it may be older than
 * it seems (an etcd that was restored from a backup); when the claim goes or turns elsewhere it is deleted as any other that no claim got.
 */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { explain } from "../outcome.ts";
import type { Provisioner } from "./context.ts";
import { makeVolume } from "./make.ts";
import { classNameOf, selectedNodeOf, shownClaim } from "./names.ts";
import type { Made, Plan } from "./plan.ts";
import { beginPlan } from "./prepare.ts";

export interface Ahead {
  /** When it was begun, as `performance.now()` has it. */
  readonly at: number;
  /** What became of it. Absent: it is being made, or its plan can't be made; it is not tried ahead a second time. */
  readonly outcome?: { readonly made: Made } | { readonly error: unknown };
  /** Whether it was said that nobody asks for it. */
  readonly told?: true;
}

/** How long the controller-manager has, in milliseconds, until it is said that it does not ask. */
const quietMs = 10_000;

/**
 * For a claim that `isComing`. Answers in how many milliseconds to look at it again; undefined: nothing is to be done until the claim changes.
 * What fails is not said on the claim yet: it counts when the claim is asked for.
 */
export async function makeAhead(provisioner: Provisioner, claim: PersistentVolumeClaim): Promise<number | undefined> {
  const { ahead, log } = provisioner;
  const uid = claim.metadata?.uid ?? "";
  const known = ahead.get(uid);
  if (known === undefined) {
    const at = performance.now();
    ahead.set(uid, { at });
    const outcome = await tryToMake(provisioner, claim);
    if (outcome === undefined) return undefined;
    ahead.set(uid, { at, outcome });
    return quietMs;
  }
  if (known.outcome === undefined || known.told) return undefined;
  const leftMs = known.at + quietMs - performance.now();
  if (leftMs > 0) return leftMs;
  log.warn({ claim: shownClaim(claim) }, "the controller-manager does not ask for the volume: does it run?");
  ahead.set(uid, { ...known, told: true });
  return undefined;
}

/**
 * What the driver answered ahead, once, for the same plan; what it threw is thrown. Undefined: it is to be asked, as after an answer
 * that is not fresh any more.
 */
export function takeAhead({ ahead }: Provisioner, uid: string): Made | undefined {
  const { at = 0, outcome } = ahead.get(uid) ?? {};
  ahead.delete(uid);
  if (outcome === undefined || performance.now() - at > quietMs) return undefined;
  if ("error" in outcome) throw outcome.error;
  return outcome.made;
}

async function tryToMake(provisioner: Provisioner, claim: PersistentVolumeClaim): Promise<Ahead["outcome"]> {
  const { classes, intents, log } = provisioner;
  const storageClass = classes.get(classNameOf(claim));
  if (storageClass === undefined) return undefined;
  let plan: Plan | undefined = intents.get(claim.metadata?.uid ?? "");
  try {
    plan ??= await beginPlan(provisioner, claim, storageClass, undefined, selectedNodeOf(claim));
    return { made: await makeVolume(provisioner, plan) };
  } catch (error) {
    log.debug({ claim: shownClaim(claim), why: explain(error) }, "the volume can't be made ahead");
    return plan && { error };
  }
}
