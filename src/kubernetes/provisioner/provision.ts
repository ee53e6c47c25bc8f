/** A claim gets its volume. */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { CsiError } from "../../csi/client.ts";
import { ApiError, isConflict } from "../api/api-error.ts";
import { Later } from "../api/queue.ts";
import { claims } from "../api/resources.ts";
import { explain, isOutOfRoom, mayStillRun } from "../outcome.ts";
import { makeAhead, takeAhead } from "./ahead.ts";
import type { Provisioner } from "./context.ts";
import { isComing, isOurs, isWaiting } from "./duty.ts";
import { makeVolume, writeVolume } from "./make.ts";
import { classNameOf, selectedNodeAnnotation, selectedNodeOf, shownClaim, volumeNameOf } from "./names.ts";
import type { Plan } from "./plan.ts";
import { beginPlan, NodeGone } from "./prepare.ts";
import { protect } from "./protect.ts";
import { over, settle } from "./settle.ts";
import { askedOf, findSource } from "./sources.ts";

/** What can't be done will hardly be possible in a moment; the class or the claim must change first. */
const hopelessWaitMs = 300_000;
/** After this time with the same RPC a person is told that it is under way. */
const quietMs = 2_000;

/**
 * Serves the claim with this UID, or looks what became of it. May be called again and again; answers in how many milliseconds to do so,
 * undefined when there is nothing more to do now. Throws a Later with what stands in the way.
 */
export async function serveClaim(provisioner: Provisioner, uid: string): Promise<number | undefined> {
  const { claims: known, intents, volumes, ahead } = provisioner;
  const hasVolume = (claim: PersistentVolumeClaim) => volumes.get(volumeNameOf(provisioner, claim)) !== undefined;
  let [claim] = known.by("uid", uid);
  if (claim !== undefined && isComing(provisioner, claim) && !hasVolume(claim)) {
    const waitMs = await makeAhead(provisioner, claim);
    [claim] = known.by("uid", uid);
    if (claim !== undefined && isComing(provisioner, claim)) return waitMs;
  }
  const begun = intents.get(uid);
  if (claim === undefined || !isOurs(provisioner, claim) || hasVolume(claim)) {
    ahead.delete(uid);
    if (begun === undefined) return undefined;
    const settled = await settle(provisioner, begun, (now) => isOurs(provisioner, now)).catch((error: unknown) => {
      if (error instanceof CsiError || error instanceof ApiError) throw new Later(explain(error));
      throw error;
    });
    if (settled === "ours") throw new Later("the claim is ours again", 10);
    return undefined;
  }
  const plan = begun ?? (await planned(provisioner, claim));
  if (plan !== undefined) await carryOut(provisioner, claim, plan);
  return undefined;
}

/** Undefined: there is nothing to be done. */
async function planned(provisioner: Provisioner, claim: PersistentVolumeClaim): Promise<Plan | undefined> {
  const { classes, driver, node, events, options } = provisioner;
  const className = classNameOf(claim);
  const storageClass = classes.get(className);
  if (storageClass === undefined) return refuse(provisioner, claim, new Error(`there is no StorageClass ${className}`));
  if (storageClass.provisioner !== driver.name || isWaiting(claim, storageClass)) return undefined;
  try {
    const asked = askedOf(claim);
    if (asked?.kind === "other") {
      events.normal(claims, claim, "Provisioning", `the volume is left to whoever fills volumes from a ${asked.what}`);
      return undefined;
    }
    const found = asked && (await findSource(provisioner, claim, asked, options.allowModeChange === true));
    if (node !== undefined && found?.holder && !found.holder.here) {
      const where = found.holder.node === undefined ? "another node" : `the node ${found.holder.node}`;
      const what = `${where} makes the volume, for it holds the ${found.kind} that is asked for`;
      events.normal(claims, claim, "Provisioning", what);
      return undefined;
    }
    return await beginPlan(provisioner, claim, storageClass, found, node ?? selectedNodeOf(claim));
  } catch (error) {
    if (error instanceof NodeGone) return takeBack(provisioner, claim, error.message);
    return refuse(provisioner, claim, error);
  }
}

async function carryOut(provisioner: Provisioner, claim: PersistentVolumeClaim, plan: Plan): Promise<void> {
  const { events, claims: known } = provisioner;
  const { uid } = plan.claim;
  const slow = setTimeout(
    () => events.normal(claims, claim, "Provisioning", `the volume for ${shownClaim(claim)} is being made`),
    quietMs,
  );
  try {
    await protect(provisioner, plan);
    const made = takeAhead(provisioner, uid) ?? (await makeVolume(provisioner, plan));
    const [now] = known.by("uid", uid);
    if (now === undefined || !isOurs(provisioner, now)) throw new Later("the claim changed meanwhile", 10);
    const volume = await writeVolume(provisioner, plan, made);
    if (volume.spec?.csi?.volumeHandle !== made.volumeId) throw new Later("another's volume was first", 10);
    await over(provisioner, plan);
    events.normal(claims, claim, "ProvisioningSucceeded", `the volume ${plan.name} was made`);
  } catch (error) {
    await failed(provisioner, claim, plan, error);
  } finally {
    clearTimeout(slow);
  }
}

async function failed(provisioner: Provisioner, claim: PersistentVolumeClaim, plan: Plan, error: unknown) {
  // Not the driver's answer to what was asked: what it did stands, and the same call will tell it again.
  if (!(error instanceof CsiError) || error.rpc !== "CreateVolume") {
    if (error instanceof Later) throw error;
    refuse(provisioner, claim, error);
  }
  if (isOutOfRoom(error)) {
    await over(provisioner, plan);
    return outOfRoom(provisioner, claim, plan, explain(error));
  }
  if (!mayStillRun(error)) await over(provisioner, plan);
  return refuse(provisioner, claim, error);
}

/** The scheduler is asked for another node, where another node would do. */
async function outOfRoom(provisioner: Provisioner, claim: PersistentVolumeClaim, plan: Plan, why: string) {
  const { node, withTopology } = provisioner;
  const selected = selectedNodeOf(claim);
  if (plan.source && node !== undefined) {
    refuse(provisioner, claim, new Error(`the node ${node}, which holds the ${plan.source.kind}, has no room: ${why}`));
  }
  if (selected === undefined || !withTopology) refuse(provisioner, claim, new Error(why));
  return takeBack(provisioner, claim, why);
}

/** Takes the selection back, if it is still the same: whoever selected that node is to select again. */
async function takeBack(provisioner: Provisioner, claim: PersistentVolumeClaim, why: string): Promise<undefined> {
  const { api, claims: known, events, log } = provisioner;
  const { name = "", namespace = "", uid, resourceVersion } = claim.metadata ?? {};
  const selected = selectedNodeOf(claim);
  if (selected === undefined) refuse(provisioner, claim, new Error(why));
  events.warning(claims, claim, "ProvisioningFailed", `${why}; another node than ${selected} is asked for`);
  try {
    const patch = { metadata: { uid, resourceVersion, annotations: { [selectedNodeAnnotation]: null } } };
    known.put(await api.patch(claims, { name, namespace }, patch));
    log.info({ claim: shownClaim(claim), node: selected, why }, "the selection of a node is taken back");
  } catch (error) {
    if (isConflict(error)) throw new Later("the claim changed meanwhile", 100);
    throw error;
  }
}

/** Says on the claim what stands in its way; it is tried again later. */
function refuse({ events }: Provisioner, claim: PersistentVolumeClaim, error: unknown): never {
  const why = explain(error);
  // When the API server is away, or the claim was just written, it is nothing that a person could mend.
  if (error instanceof ApiError && (error.status === 0 || error.status >= 500 || isConflict(error))) {
    throw new Later(why);
  }
  events.warning(claims, claim, "ProvisioningFailed", why);
  const hopeless = error instanceof CsiError && error.code === "INVALID_ARGUMENT";
  throw new Later(why, hopeless ? hopelessWaitMs : undefined);
}
