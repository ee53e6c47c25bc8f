/** What provisioners write on objects: names that the cluster, its scheduler and the upstream provisioner know too. */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import type { HelperContext } from "../helper.ts";

/** Who is to make a claim's volume: set by the controller-manager. The second is what older ones wrote. */
const provisionerAnnotations = [
  "volume.kubernetes.io/storage-provisioner",
  "volume.beta.kubernetes.io/storage-provisioner",
] as const;
/** Where the scheduler wants the claim's first pod. */
export const selectedNodeAnnotation = "volume.kubernetes.io/selected-node";
const classAnnotation = "volume.beta.kubernetes.io/storage-class";

export const provisionedByAnnotation = "pv.kubernetes.io/provisioned-by";
export const deletionSecretAnnotations = {
  name: "volume.kubernetes.io/provisioner-deletion-secret-name",
  namespace: "volume.kubernetes.io/provisioner-deletion-secret-namespace",
} as const;
export const modifySecretAnnotations = {
  name: "volume.kubernetes.io/controller-modify-secret-name",
  namespace: "volume.kubernetes.io/controller-modify-secret-namespace",
} as const;
/** In the attributes of each volume: who made it. */
export const identityAttribute = "storage.kubernetes.io/csiProvisionerIdentity";

/** A volume's object stays until its storage is deleted. */
export const volumeFinalizer = "external-provisioner.volume.kubernetes.io/finalizer";
/** On a claim that is being cloned. */
export const cloneFinalizer = "provisioner.storage.kubernetes.io/cloning-protection";
/** On a snapshot that is being restored. */
export const restoreFinalizer = "provisioner.storage.kubernetes.io/volumesnapshot-as-source-protection";

/** The driver that is asked for the claim's volume. */
export function provisionerOf({ metadata }: PersistentVolumeClaim): string | undefined {
  for (const annotation of provisionerAnnotations) {
    const name = metadata?.annotations?.[annotation];
    if (name !== undefined) return name;
  }
  return undefined;
}

/** Absent: none was selected. */
export const selectedNodeOf = ({ metadata }: PersistentVolumeClaim): string | undefined =>
  metadata?.annotations?.[selectedNodeAnnotation] || undefined;

export const classNameOf = ({ metadata, spec }: PersistentVolumeClaim): string =>
  metadata?.annotations?.[classAnnotation] ?? spec?.storageClassName ?? "";

/**
 * The name of the claim's volume, at the driver and in the cluster: whoever makes it, and however often. One that a node makes for itself says whose it is:
 * Kubernetes binds a claim to whatever volume names it, and an admission policy sees only the name (docs/reference/chart-policies.md).
 */
export const volumeNameOf = (
  { driver, node }: Pick<HelperContext, "driver" | "node">,
  claim: PersistentVolumeClaim,
): string => (node === undefined ? `pvc-${claim.metadata?.uid ?? ""}` : nodesVolumeName(driver.name, claim));

/** The same, of volumes that nodes make for themselves. */
export const nodesVolumeName = (driverName: string, { metadata }: PersistentVolumeClaim): string =>
  `${driverName}-${metadata?.uid ?? ""}`;

/** `namespace/name`, for people. */
export const shownClaim = ({ metadata }: PersistentVolumeClaim): string => `${metadata?.namespace}/${metadata?.name}`;
