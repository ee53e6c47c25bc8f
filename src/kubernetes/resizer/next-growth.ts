/**
 * To which size a claim is grown now. A size that was begun is brought to its end before another is begun, for nobody knows
 * how far the storage came; only an error that is final lets a smaller wish take its place (Kubernetes enhancement 1790,
 * "Recovering from volume expansion failure").
 */
import type { PersistentVolume, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { bytesOf } from "../quantity.ts";
import { allocatedOf, growthStatusOf, isSmaller, requestOf, volumeSizeOf } from "./claim-sizes.ts";

export type NextGrowth =
  | { readonly grow: false; readonly because: string }
  | {
      readonly grow: true;
      /** A quantity. */
      readonly size: string;
      /** The claim's status already names this size: it was begun before. */
      readonly begun: boolean;
    };

export interface KnownOfGrowth {
  /** The last call of this process for this claim failed with an error that is final: nothing runs. */
  readonly failedFinally: boolean;
  /** The driver grows volumes itself; else only the node's part is left. */
  readonly controllerExpands: boolean;
}

/** For a claim that wants growth and its volume. */
export function nextGrowth(claim: PersistentVolumeClaim, volume: PersistentVolume, known: KnownOfGrowth): NextGrowth {
  const request = requestOf(claim);
  const allocated = allocatedOf(claim);
  const to = (size: string): NextGrowth => ({
    grow: true,
    size,
    begun: allocated !== undefined && bytesOf(allocated) === bytesOf(size),
  });
  const status = growthStatusOf(claim);
  const onNode = status === "NodeResizePending" || status === "NodeResizeInProgress";
  const nodeFirst = { grow: false, because: "the node's part is not over" } as const;

  if (isSmaller(volumeSizeOf(volume), request)) {
    if (onNode) return isSmaller(volumeSizeOf(volume), allocated ?? request) ? to(allocated ?? request) : nodeFirst;
    if (status === "NodeResizeInfeasible") return to(allocated ?? request);
    if (status === "ControllerResizeInProgress") return to(known.failedFinally ? request : (allocated ?? request));
    return to(request);
  }
  // The volume has the size, or had more before the wish was made smaller; what is missing is the claim's part of it.
  if (onNode) return nodeFirst;
  if (status === "NodeResizeInfeasible" && !known.controllerExpands) return to(request);
  if (status === undefined && allocated === undefined && claim.status?.conditions?.some(isPendingOnNode))
    return nodeFirst;
  return to(allocated ?? request);
}

const isPendingOnNode = ({ type, status }: { readonly type: string; readonly status: string }): boolean =>
  type === "FileSystemResizePending" && status === "True";
