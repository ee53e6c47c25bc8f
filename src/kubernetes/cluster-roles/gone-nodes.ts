/** A node that was selected and is gone can't say so itself: the selection is taken back for it. */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { isConflict } from "../api/api-error.ts";
import { Later } from "../api/queue.ts";
import { claims, nodes as nodeKind, persistentVolumes } from "../api/resources.ts";
import { nodesVolumeName, selectedNodeAnnotation, selectedNodeOf, shownClaim } from "../provisioner/names.ts";
import type { Roles } from "./context.ts";

/**
 * Takes it back when the node is not there `goneForMs` after it was first missed, and the claim's volume was not made. May be called
 * again and again. Throws a Later when it is to be looked at again.
 */
export async function takeBackFromGone(
  { api, claims: known, nodes, events, log, driverName }: Roles,
  claim: PersistentVolumeClaim,
  missedSince: Map<string, number>,
  goneForMs: number,
): Promise<void> {
  const node = selectedNodeOf(claim);
  if (node === undefined) return;
  if (nodes.get(node) !== undefined) {
    missedSince.delete(node);
    return;
  }
  // A node that is made anew, as after a change of its machine, is away for a moment.
  const since = missedSince.get(node) ?? performance.now();
  missedSince.set(node, since);
  const left = goneForMs - (performance.now() - since);
  if (left > 0) throw new Later(`the selected node ${node} is not there`, left);
  if ((await api.find(nodeKind, { name: node })) !== undefined) return;
  if ((await api.find(persistentVolumes, { name: nodesVolumeName(driverName, claim) })) !== undefined) return;
  const { name = "", namespace = "", uid, resourceVersion } = claim.metadata ?? {};
  const patch = { metadata: { uid, resourceVersion, annotations: { [selectedNodeAnnotation]: null } } };
  try {
    known.put(await api.patch(claims, { name, namespace }, patch));
  } catch (error) {
    if (isConflict(error)) throw new Later("the claim changed meanwhile", 100);
    throw error;
  }
  log.info({ claim: shownClaim(claim), node, why: "the node is gone" }, "the selection of a node is taken back");
  const why = `the selected node ${node} is gone; another is asked for`;
  events.warning(claims, claim, "ProvisioningFailed", why);
}
