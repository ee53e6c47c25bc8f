/**
 * The claims that concern one node. A thousand nodes each follow all claims of the cluster, for the API server can't select them by
 * the node; so on a node one watch serves all helpers, and what is another's is dropped as it comes.
 */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { actsFor } from "./acts-for.ts";
import { type Informer, keyOf, keyOfObject } from "./api/informer.ts";
import { claims } from "./api/resources.ts";
import type { HelperContext } from "./helper.ts";
import { isAsking } from "./provisioner/duty.ts";
import { selectedNodeOf } from "./provisioner/names.ts";
import { sourceKeysOf } from "./provisioner/protect.ts";
import { firstListWithinMs, watchVolumes, withoutManagedFields } from "./watched.ts";

type Context = Pick<HelperContext, "informers" | "driver" | "api" | "signal"> & { readonly node: string };

export interface ClaimsOfNode extends Informer<PersistentVolumeClaim> {
  /**
   * The claim by `namespace/name`: the one that is known, else as the API server has it. For a claim that was dropped when it came,
   * because its volume here was not known yet. Undefined: there is none, or it does not concern this node.
   */
  seek(key: string): Promise<PersistentVolumeClaim | undefined>;
}

/**
 * Those that selected the node, those that ask for a content that it may hold, and those whose volume is pinned to it.
 * Indexes: `uid`, and `source` as `sourceKeysOf` has it.
 */
export function watchClaimsOfNode(context: Context): ClaimsOfNode {
  const { informers, driver, node, api } = context;
  const volumes = watchVolumes(context);
  const concerns = (claim: PersistentVolumeClaim): boolean => {
    if (selectedNodeOf(claim) === node) return true;
    if (isAsking(driver.name, claim) && sourceKeysOf(claim).length > 0) return true;
    const bound = volumes.get(claim.spec?.volumeName ?? "");
    const known = bound ? [bound] : volumes.by("claim", keyOfObject(claim));
    return known.some((volume) => actsFor(context, volume));
  };
  const informer = informers.of(
    claims,
    {
      keep: (claim) => (concerns(claim) ? withoutManagedFields(claim) : undefined),
      indexes: { uid: ({ metadata }) => [metadata?.uid ?? ""], source: sourceKeysOf },
      jitterMs: firstListWithinMs,
    },
    "claims of the node",
  );
  return {
    ...informer,
    async seek(key) {
      const [namespace = "", name = ""] = key.split("/");
      const known = informer.get(name, namespace);
      if (known !== undefined) return known;
      const ours = volumes.by("claim", keyOf(name, namespace)).some((volume) => actsFor(context, volume));
      const found = ours ? await api.find(claims, { name, namespace }) : undefined;
      if (found !== undefined) informer.put(found);
      return informer.get(name, namespace);
    },
  };
}
