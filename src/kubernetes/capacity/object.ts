/**
 * A CSIStorageCapacity object: what one place has left for one class. Its name follows from both, so that a process that starts anew finds
 * what it wrote before, and two never write two.
 */
import { createHash } from "node:crypto";
import type { OwnerReference } from "kubernetes-types/meta/v1.js";
import type { CSIStorageCapacity, StorageClass } from "kubernetes-types/storage/v1.js";
import { quantityOf } from "../quantity.ts";

/** As the upstream provisioner labels its own. */
const driverLabel = "csi.storage.k8s.io/drivername";
const managerLabel = "csi.storage.k8s.io/managed-by";

export interface Spot {
  readonly driver: string;
  /** Topology keys and values; empty: everywhere. */
  readonly segment: Readonly<Record<string, string>>;
  readonly namespace: string;
  /** Who writes it: a node, or the driver's controller. */
  readonly manager: string;
}

export interface Room {
  readonly bytes: bigint;
  /** The largest volume that is possible. Absent: the driver does not say. */
  readonly largest?: bigint;
}

/** Selects what `manager` has written. */
export const selectorOf = ({ driver, manager }: Pick<Spot, "driver" | "manager">): string =>
  `${driverLabel}=${driver},${managerLabel}=${manager}`;

export function nameOf({ driver, segment }: Pick<Spot, "driver" | "segment">, className: string): string {
  const sorted = Object.entries(segment).sort(([one], [other]) => (one < other ? -1 : 1));
  const hash = createHash("sha256").update(JSON.stringify([driver, className, sorted]));
  return `csisc-${hash.digest("hex").slice(0, 20)}`;
}

export function capacityObject(
  spot: Spot,
  { metadata }: Pick<StorageClass, "metadata">,
  room: Room,
  owner: OwnerReference | undefined,
): CSIStorageCapacity {
  const className = metadata?.name ?? "";
  return {
    metadata: {
      name: nameOf(spot, className),
      namespace: spot.namespace,
      labels: { [driverLabel]: spot.driver, [managerLabel]: spot.manager },
      ...(owner && { ownerReferences: [owner] }),
    },
    storageClassName: className,
    nodeTopology: { matchLabels: { ...spot.segment } },
    capacity: quantityOf(room.bytes),
    ...(room.largest !== undefined && { maximumVolumeSize: quantityOf(room.largest) }),
  };
}

/**
 * Whether the difference is worth a write: a thousand nodes whose free space changes with every file would keep the API
 * server busy with what the scheduler takes as a hint. A fiftieth is; and so is the end of it, or its return.
 */
export function isNews(published: Room, now: Room): boolean {
  if (published.largest === undefined ? now.largest !== undefined : now.largest === undefined) return true;
  return differs(published.bytes, now.bytes) || differs(published.largest ?? 0n, now.largest ?? 0n);
}

function differs(before: bigint, after: bigint): boolean {
  if ((before === 0n) !== (after === 0n)) return true;
  const difference = before > after ? before - after : after - before;
  return difference * 50n > before;
}
