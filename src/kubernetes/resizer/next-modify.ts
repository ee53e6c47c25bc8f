/**
 * To which VolumeAttributesClass a volume is changed now. As with growth: a change of which nobody knows how far it came is
 * brought to its end first.
 */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { currentClassOf, modifyStatusOf, saysModifying, wantedClassOf } from "./modify-marks.ts";

export type NextModify =
  | { readonly act: "nothing" }
  /** The wish was taken back. */
  | { readonly act: "cancel" }
  /** `begun`: the claim's status names this class already, and it is to be brought to its end. */
  | { readonly act: "modify"; readonly target: string; readonly begun: boolean };

/** `failedFinally`: the last call of this process for this claim failed with an error that is final. */
export function nextModify(claim: PersistentVolumeClaim, failedFinally: boolean): NextModify {
  const wanted = wantedClassOf(claim);
  const status = modifyStatusOf(claim);
  if (claim.status?.phase !== "Bound") return { act: "nothing" };
  if (status === undefined && wanted === currentClassOf(claim)) return { act: "nothing" };
  const inProgress = status?.status === "InProgress";
  if (wanted === "" && !inProgress) return { act: saysModifying(claim) ? "cancel" : "nothing" };
  const target = status?.targetVolumeAttributesClassName ?? "";
  if (inProgress && target !== "" && (wanted === "" || !failedFinally)) return { act: "modify", target, begun: true };
  return { act: "modify", target: wanted, begun: false };
}
