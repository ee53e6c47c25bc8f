/** A node that was selected and is gone, or does not work, can't say so itself: the selection is taken back for it. */
import type { Node, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { isConflict } from "../api/api-error.ts";
import { Later } from "../api/queue.ts";
import { claims, nodes as nodeKind, persistentVolumes } from "../api/resources.ts";
import {
  classNameOf,
  nodesVolumeName,
  selectedNodeAnnotation,
  selectedNodeOf,
  shownClaim,
} from "../provisioner/names.ts";
import { sourceKeysOf } from "../provisioner/protect.ts";
import type { Roles } from "./context.ts";

export interface Patience {
  /** How long a node must be missing, or not ready, in milliseconds. */
  readonly goneForMs: number;
  readonly notReadyForMs: number;
}

/** How long until a claim that can only wait is looked at again. */
const waitMs = 300_000;

export const isReady = ({ status }: Node): boolean =>
  status?.conditions?.some((each) => each.type === "Ready" && each.status === "True") === true;

/**
 * Takes the selection back when the node is gone, or when it is not ready and the claim need not wait for a pod there; unless the
 * volume was made. A claim that must wait is told. `since` keeps when each node was first found so. May be called again and again.
 * Throws a Later when the claim is to be looked at again.
 */
export async function takeBackFromLost(
  roles: Roles,
  claim: PersistentVolumeClaim,
  since: Map<string, number>,
  { goneForMs, notReadyForMs }: Patience,
): Promise<void> {
  const { api, nodes, events, driverName } = roles;
  const node = selectedNodeOf(claim);
  if (node === undefined) return;
  const known = nodes.get(node);
  if (known !== undefined && isReady(known)) {
    since.delete(node);
    return;
  }
  const state = known === undefined ? "gone" : "not ready";
  // A node that is made anew, as after a change of its machine, is away for a moment; so is one that restarts.
  const began = since.get(node) ?? performance.now();
  since.set(node, began);
  const left = (known === undefined ? goneForMs : notReadyForMs) - (performance.now() - began);
  if (left > 0) throw new Later(`the selected node ${node} is ${state}`, left);
  if (known === undefined && (await api.find(nodeKind, { name: node })) !== undefined) return;
  if ((await api.find(persistentVolumes, { name: nodesVolumeName(driverName, claim) })) !== undefined) return;
  if (known !== undefined && !isImmediate(roles, claim)) {
    // A copy is made by the node that holds the source, whatever was selected.
    if (sourceKeysOf(claim).length > 0) return;
    const why = `the selected node ${node} is not ready, and the volume can be made only there`;
    events.warning(claims, claim, "ProvisioningFailed", why);
    throw new Later(why, waitMs);
  }
  await takeBack(roles, claim, node, state);
}

const isImmediate = ({ classes }: Roles, claim: PersistentVolumeClaim): boolean =>
  classes.get(classNameOf(claim))?.volumeBindingMode !== "WaitForFirstConsumer";

async function takeBack(
  { api, claims: known, events, log }: Roles,
  claim: PersistentVolumeClaim,
  node: string,
  state: string,
): Promise<void> {
  const { name = "", namespace = "", uid, resourceVersion } = claim.metadata ?? {};
  const patch = { metadata: { uid, resourceVersion, annotations: { [selectedNodeAnnotation]: null } } };
  try {
    known.put(await api.patch(claims, { name, namespace }, patch));
  } catch (error) {
    if (isConflict(error)) throw new Later("the claim changed meanwhile", 100);
    throw error;
  }
  const why = `the selected node ${node} is ${state}; another is asked for`;
  log.info({ claim: shownClaim(claim), node, why }, "the selection of a node is taken back");
  events.warning(claims, claim, "ProvisioningFailed", why);
}
