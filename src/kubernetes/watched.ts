/**
 * What the helpers of one process watch together. The first who asks decides what an informer keeps, so what several
 * need is asked for here only.
 */
import type { PersistentVolume, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { parseId } from "../pools/ids.ts";
import { type Informer, type InformerOptions, keyOf } from "./api/informer.ts";
import { joinInformers } from "./api/joined-informers.ts";
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

/** What a label may be called and hold (Kubernetes documentation, "Labels and Selectors"); names of drivers and nodes may be more. */
const labelPrefix = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/;
const labelValue = /^(?=.{1,63}$)[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?$/;

/**
 * The PersistentVolumes of this driver. Where the helper acts for one node: those that carry its label, and those that carry no node's, as made by
 * hand or by another provisioner; so a node hears nothing of the other nodes' volumes. Indexes: `claim`, the `namespace/name` of
 * the claim they are for; `handle`; and `pool`, the UUID of the pool that they lie in, for our own driver.
 */
export function watchVolumes({ informers, driver, node }: Watcher): Informer<PersistentVolume> {
  const options: InformerOptions<PersistentVolume> = {
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
  };
  if (node === undefined || !labelPrefix.test(driver.name) || !labelValue.test(node)) {
    return informers.of(persistentVolumes, options, "volumes of the driver");
  }
  const label = `${driver.name}/node`;
  const select = (labelSelector: string) =>
    informers.of(persistentVolumes, { ...options, labelSelector }, labelSelector);
  return joinInformers(
    select(`${label}=${node}`),
    select(`!${label}`),
    ({ metadata }) => metadata?.labels?.[label] !== undefined,
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
