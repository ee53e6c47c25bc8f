/** The sizes of a claim and of its volume, and how far a growth has come (PersistentVolumeClaimStatus, Kubernetes API). */
import type { PersistentVolume, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { bytesOf } from "../quantity.ts";

/** `allocatedResourceStatuses.storage`; the API's own words. Absent: no growth is under way. */
export type GrowthStatus =
  | "ControllerResizeInProgress"
  | "ControllerResizeInfeasible"
  | "NodeResizePending"
  | "NodeResizeInProgress"
  | "NodeResizeInfeasible";

export const requestOf = ({ spec }: PersistentVolumeClaim): string => spec?.resources?.requests?.["storage"] ?? "0";
export const capacityOf = ({ status }: PersistentVolumeClaim): string => status?.capacity?.["storage"] ?? "0";
/** The size that the last growth began with; absent: none ever did. */
export const allocatedOf = ({ status }: PersistentVolumeClaim): string | undefined =>
  status?.allocatedResources?.["storage"];
export const growthStatusOf = ({ status }: PersistentVolumeClaim): GrowthStatus | undefined =>
  status?.allocatedResourceStatuses?.["storage"] as GrowthStatus | undefined;
export const volumeSizeOf = ({ spec }: PersistentVolume): string => spec?.capacity?.["storage"] ?? "0";

export const isSmaller = (one: string, other: string): boolean => bytesOf(one) < bytesOf(other);

/** Bound, and asks for more than it has. */
export const wantsGrowth = (claim: PersistentVolumeClaim): boolean =>
  claim.status?.phase === "Bound" && !!claim.spec?.volumeName && isSmaller(capacityOf(claim), requestOf(claim));

/** Whether the volume says that it is for this very claim, not for an older one of the same name. */
export const belongsTo = ({ spec }: PersistentVolume, { metadata }: PersistentVolumeClaim): boolean =>
  spec?.claimRef?.uid === metadata?.uid && spec?.claimRef?.namespace === metadata?.namespace;
