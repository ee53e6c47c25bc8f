/** Writing a claim's status where others write too: the kubelet, the controller-manager, people. */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { isConflict } from "../api/api-error.ts";
import type { ApiClient, Ref } from "../api/client.ts";
import type { Informer } from "../api/informer.ts";
import { Later } from "../api/queue.ts";
import { claims } from "../api/resources.ts";

export interface ClaimPatch {
  readonly metadata?: object;
  readonly status: object;
}

const tries = 5;

export const refOf = ({ metadata }: PersistentVolumeClaim): Ref => ({
  name: metadata?.name ?? "",
  namespace: metadata?.namespace ?? "",
});

/**
 * Patches the status of exactly this version of the claim, and of a newer one where `stillTrue` says of it that the patch
 * holds there too. Throws Later where it does not, or the claim is another one by now. The answer is in the informer.
 */
export async function writeStatus(
  api: ApiClient,
  informer: Informer<PersistentVolumeClaim>,
  claim: PersistentVolumeClaim,
  patch: ClaimPatch,
  stillTrue: (now: PersistentVolumeClaim) => boolean,
): Promise<PersistentVolumeClaim> {
  let current = claim;
  for (let attempt = 1; ; attempt++) {
    const { uid, resourceVersion } = current.metadata ?? {};
    const body = { ...patch, metadata: { ...patch.metadata, uid, resourceVersion } };
    try {
      const written = await api.patch(claims, refOf(claim), body, { type: "strategic", subresource: "status" });
      informer.put(written);
      return written;
    } catch (error) {
      if (!isConflict(error) || attempt === tries) throw error;
    }
    const now = await api.find(claims, refOf(claim));
    if (now !== undefined) informer.put(now);
    if (now === undefined || now.metadata?.uid !== uid || !stillTrue(now)) {
      throw new Later("the claim was changed meanwhile", 50);
    }
    current = now;
  }
}
