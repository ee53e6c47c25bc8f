/** Which claims are this provisioner's to serve. */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import type { StorageClass } from "kubernetes-types/storage/v1.js";
import type { Provisioner } from "./context.ts";
import { classNameOf, provisionerOf, selectedNodeOf } from "./names.ts";

/** Whether the claim asks this driver for a volume and has none yet. */
export const isAsking = (driver: string, claim: PersistentVolumeClaim): boolean =>
  provisionerOf(claim) === driver && !claim.spec?.volumeName && !claim.metadata?.deletionTimestamp;

/** Whether it must still be said where the claim's first pod will run. */
export const isWaiting = (claim: PersistentVolumeClaim, { volumeBindingMode }: StorageClass): boolean =>
  volumeBindingMode === "WaitForFirstConsumer" && selectedNodeOf(claim) === undefined;

/**
 * Judged by what is known here. For the cluster: all that ask. For a node: what selected it, and whatever asks for the content of
 * a snapshot or volume that this node holds, for nobody else can give it.
 */
export function isOurs(provisioner: Provisioner, claim: PersistentVolumeClaim): boolean {
  const { driver, node, holds } = provisioner;
  if (!isAsking(driver.name, claim)) return false;
  return node === undefined || selectedNodeOf(claim) === node || holds(claim);
}

/**
 * Whether the controller-manager is about to ask for the claim's volume: this node was selected, which the scheduler does only for a
 * claim that no volume there is fits, but the annotation that names the driver is still to come (pkg/controller/volume/persistentvolume
 * of Kubernetes, `provisionClaimOperationExternal`). Only for one node, and for volumes that begin empty.
 */
export function isComing(provisioner: Provisioner, claim: PersistentVolumeClaim): boolean {
  const { driver, node, classes } = provisioner;
  if (node === undefined || selectedNodeOf(claim) !== node || provisionerOf(claim) !== undefined) return false;
  const { volumeName, dataSource, dataSourceRef, selector } = claim.spec ?? {};
  if (claim.metadata?.deletionTimestamp || volumeName || dataSource || dataSourceRef || selector) return false;
  return classes.get(classNameOf(claim))?.provisioner === driver.name;
}
