/** Whether pods use a claim: asked only for drivers that refuse to grow a volume in use, so no pod is watched. */
import type { PersistentVolumeClaim, Pod } from "kubernetes-types/core/v1.js";
import { isForbidden } from "../api/api-error.ts";
import type { ApiClient, CallLimits } from "../api/client.ts";
import { pods } from "../api/resources.ts";

/** The names of the pods that use the claim and have not ended; none where we may not look: then the driver is asked. */
export async function usersOf(
  api: ApiClient,
  { metadata }: PersistentVolumeClaim,
  limits: CallLimits,
): Promise<string[]> {
  const namespace = metadata?.namespace ?? "";
  const name = metadata?.name ?? "";
  const all = await api.list(pods, { ...limits, namespace }).catch((error: unknown) => {
    if (isForbidden(error)) return [];
    throw error;
  });
  return all.filter((pod) => !hasEnded(pod) && uses(pod, name)).map((pod) => pod.metadata?.name ?? "");
}

const hasEnded = ({ status }: Pod): boolean => status?.phase === "Succeeded" || status?.phase === "Failed";

/** An ephemeral volume's claim is called after its pod and volume (Kubernetes, "Generic ephemeral volumes"). */
const uses = ({ metadata, spec }: Pod, claim: string): boolean =>
  (spec?.volumes ?? []).some(
    ({ name, persistentVolumeClaim, ephemeral }) =>
      persistentVolumeClaim?.claimName === claim || (ephemeral !== undefined && `${metadata?.name}-${name}` === claim),
  );
