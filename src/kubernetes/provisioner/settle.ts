/**
 * What was begun for a claim that is not ours to serve any more: deleted meanwhile, or served by another. The intent says
 * what may be there; only the driver knows whether it is, and only fresh reads of the API server whether it may go.
 */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { CsiError } from "../../csi/client.ts";
import { actsFor } from "../acts-for.ts";
import { claims, persistentVolumes } from "../api/resources.ts";
import { isOutOfRoom, mayStillRun } from "../outcome.ts";
import { secretValues } from "../secret-values.ts";
import type { Provisioner } from "./context.ts";
import { deleteVolume, makeVolume, WrongVolume } from "./make.ts";
import type { Made, Plan } from "./plan.ts";
import { releaseSnapshot } from "./protect.ts";

export type Settled =
  /** The intent is over. */
  | "done"
  /** The claim is ours after all. */
  | "ours";

/** `isOurs` judges the claim as it is now. May be called again; throws what stood in the way. */
export async function settle(
  provisioner: Provisioner,
  plan: Plan,
  isOurs: (claim: PersistentVolumeClaim) => boolean,
): Promise<Settled> {
  const { log } = provisioner;
  const subject = { claim: `${plan.claim.namespace}/${plan.claim.name}`, volume: plan.name };
  const before = await verdictOf(provisioner, plan, undefined, isOurs);
  if (before === "ours") return "ours";
  if (before === "collect") {
    const made = await whatWasMade(provisioner, plan);
    // The driver may have taken a while: what is read before a deletion is not older than the deletion.
    const now = made && (await verdictOf(provisioner, plan, made, isOurs));
    if (now === "ours") return "ours";
    if (made && now === "collect") {
      const secrets = await secretValues(provisioner.api, plan.secret).catch(() => ({}));
      await deleteVolume(provisioner, plan, made.volumeId, secrets);
      log.info({ ...subject, id: made.volumeId }, "a volume that no claim got was deleted");
    }
  }
  await over(provisioner, plan);
  return "done";
}

async function verdictOf(
  provisioner: Provisioner,
  plan: Plan,
  made: Made | undefined,
  isOurs: (claim: PersistentVolumeClaim) => boolean,
): Promise<"ours" | "keep" | "collect"> {
  const { api, volumes, claims: known, node } = provisioner;
  const { uid, ...ref } = plan.claim;
  const volume = await api.find(persistentVolumes, { name: plan.name });
  if (volume !== undefined) {
    volumes.put(volume);
    // In a cluster with one provisioner the object is of this volume; with one on each node it may be another's.
    if (node === undefined || actsFor(provisioner, volume)) return "keep";
    return made === undefined || volume.spec?.csi?.volumeHandle !== made.volumeId ? "collect" : "keep";
  }
  const claim = await api.find(claims, ref);
  if (claim === undefined || claim.metadata?.uid !== uid) return "collect";
  known.put(claim);
  if (isOurs(claim)) return "ours";
  if (claim.spec?.volumeName !== plan.name) return "collect";
  throw new Error(
    `the claim is bound to ${plan.name}, which has no object: was the cluster restored from a backup? Nothing is deleted`,
  );
}

/** The same call as before tells which volume it made. Undefined: none. */
async function whatWasMade(provisioner: Provisioner, plan: Plan): Promise<Made | undefined> {
  try {
    return await makeVolume(provisioner, plan);
  } catch (error) {
    if (error instanceof WrongVolume) return undefined;
    if (!(error instanceof CsiError) || error.rpc !== "CreateVolume") throw error;
    if (isOutOfRoom(error)) return undefined;
    if (mayStillRun(error)) throw error;
    if (error.code !== "ALREADY_EXISTS") return undefined;
    const subject = { claim: `${plan.claim.namespace}/${plan.claim.name}`, volume: plan.name };
    provisioner.log.error(subject, "a volume that nobody asked for has the name of one that was begun: it is left");
    return undefined;
  }
}

/** Nothing of it is under way any more. In this order: what is killed between is settled by the next start. */
export async function over(provisioner: Provisioner, plan: Plan): Promise<void> {
  await releaseSnapshot(provisioner, plan);
  await provisioner.intents.end(plan.claim.uid);
  provisioner.ending.delete(plan.claim.uid);
}
