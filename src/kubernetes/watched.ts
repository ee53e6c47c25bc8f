/**
 * What the helpers of one process watch together. The first who asks decides what an informer keeps, so what several
 * need is asked for here only.
 */
import type { PersistentVolume, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { parseId } from "../pools/ids.ts";
import { type Informer, keyOf } from "./api/informer.ts";
import { type ApiObject, claims, persistentVolumes, volumeSnapshotContents } from "./api/resources.ts";
import type { VolumeSnapshotContent } from "./api/snapshot-types.ts";
import type { HelperContext } from "./helper.ts";
import { managedBy } from "./snapshots/names.ts";

/** Milliseconds: a thousand nodes that start together must not list together. */
export const firstListWithinMs = 2_000;
const jitterMs = firstListWithinMs;

/** Who wrote which field, which nobody here reads, is the larger half of many objects. */
export function withoutManagedFields<T extends ApiObject>(object: T): T {
  if (object.metadata?.managedFields === undefined) return object;
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** Whose objects are watched. */
interface Watcher extends Pick<HelperContext, "informers" | "node"> {
  readonly driver: { readonly name: string };
}

/**
 * The PersistentVolumes of this driver, of whatever node. Indexes: `claim`, the `namespace/name` of the claim they are for; `handle`; and
 * `pool`, the UUID of the pool that they lie in, for our own driver.
 */
export function watchVolumes({ informers, driver, node }: Watcher): Informer<PersistentVolume> {
  return informers.of(
    persistentVolumes,
    {
      keep: (volume) => (volume.spec?.csi?.driver === driver.name ? withoutManagedFields(volume) : undefined),
      indexes: {
        claim: ({ spec }) => (spec?.claimRef?.name ? [keyOf(spec.claimRef.name, spec.claimRef.namespace)] : []),
        handle: ({ spec }) => (spec?.csi ? [spec.csi.volumeHandle] : []),
        pool: ({ spec }) => {
          const id = parseId(spec?.csi?.volumeHandle ?? "");
          return id === undefined ? [] : [id.pool];
        },
      },
      ...(node !== undefined && { jitterMs }),
    },
    "volumes of the driver",
  );
}

/** All claims. */
export function watchClaims({ informers, node }: Omit<Watcher, "driver">): Informer<PersistentVolumeClaim> {
  return informers.of(claims, { keep: withoutManagedFields, ...(node !== undefined && { jitterMs }) }, "claims");
}

/**
 * The snapshot contents of this driver; where the helper acts for one node, those that are labelled with it. Indexes: `class`, its
 * name, and `snapshot`, the `namespace/name` of the snapshot that they are for. Only for a cluster that has them.
 */
export function watchContents({ informers, driver, node }: Watcher): Informer<VolumeSnapshotContent> {
  return informers.of(
    volumeSnapshotContents,
    {
      keep: (content) => (content.spec.driver === driver.name ? withoutManagedFields(content) : undefined),
      indexes: {
        class: ({ spec }) => (spec.volumeSnapshotClassName === undefined ? [] : [spec.volumeSnapshotClassName]),
        snapshot: ({ spec: { volumeSnapshotRef: to } }) => [keyOf(to.name, to.namespace)],
      },
      ...(node !== undefined && { jitterMs, labelSelector: `${managedBy}=${node}` }),
    },
    "contents of the driver",
  );
}
