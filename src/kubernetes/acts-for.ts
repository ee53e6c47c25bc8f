/** Whose volumes a helper acts for. */
import type { NodeSelectorTerm, PersistentVolume } from "kubernetes-types/core/v1.js";
import type { DriverFacts } from "./driver-facts.ts";

/**
 * Whether the volume is the driver's and, where the helper acts for one node only, pinned to that node: each term of its
 * affinity names exactly this node's segment. Every other instance would ask a driver that has never heard of the
 * volume, and take its NOT_FOUND for the truth.
 */
export function actsFor(
  { driver, node }: { readonly driver: Pick<DriverFacts, "name" | "nodeInfo">; readonly node?: string },
  { spec }: Pick<PersistentVolume, "spec">,
): boolean {
  if (spec?.csi?.driver !== driver.name) return false;
  if (node === undefined) return true;
  const segment = Object.entries(driver.nodeInfo?.topology ?? {});
  const terms = spec.nodeAffinity?.required?.nodeSelectorTerms ?? [];
  return segment.length > 0 && terms.length > 0 && terms.every((term) => pins(term, segment));
}

const pins = (term: NodeSelectorTerm, segment: readonly (readonly [string, string])[]): boolean =>
  segment.every(([key, value]) =>
    term.matchExpressions?.some(
      (asked) =>
        asked.key === key && asked.operator === "In" && asked.values?.length === 1 && asked.values[0] === value,
    ),
  );
