/**
 * A bound claim names the node that has its volume as its selected node, also where another was selected (a restore is made where its source is) or none. A
 * node's token may write only claims that selected it (docs/reference/chart-policies.md), and the node that has the volume must tell of its growth.
 */
import type { PersistentVolume, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { isConflict, isNotFound } from "../api/api-error.ts";
import { Later, openQueue, type Queue } from "../api/queue.ts";
import { claims, persistentVolumes } from "../api/resources.ts";
import { selectedNodeAnnotation, selectedNodeOf, shownClaim } from "../provisioner/names.ts";
import type { ClusterRolesContext } from "./context.ts";

/** Watches volumes and claims until the context's signal. Stop the queue then. */
export function openHolders({ api, informers, driverName, log }: ClusterRolesContext): Queue {
  const volumes = informers.of(
    persistentVolumes,
    {
      keep: (volume) => (holderOf(driverName, volume) === undefined ? undefined : brief(volume)),
      indexes: { claim: ({ spec }) => [spec?.claimRef?.uid ?? ""] },
    },
    "bound volumes of the local driver, briefly",
  );
  const known = informers.of(
    claims,
    { metadataOnly: true, keep: onlySelection, indexes: { uid: ({ metadata }) => [metadata?.uid ?? ""] } },
    "claims, only which node they selected",
  );
  const queue = openQueue(
    {
      name: "holder of a volume",
      workers: 5,
      longestWaitMs: 60_000,
      fields: (volume) => ({ volume }),
      run: async (name) => {
        const volume = volumes.get(name);
        const [claim] = known.by("uid", volume?.spec?.claimRef?.uid ?? "");
        if (volume === undefined || claim === undefined) return undefined;
        const node = holderOf(driverName, volume);
        if (node === undefined || selectedNodeOf(claim) === node) return undefined;
        const { name: of = "", namespace = "", uid, resourceVersion } = claim.metadata ?? {};
        const patch = { metadata: { uid, resourceVersion, annotations: { [selectedNodeAnnotation]: node } } };
        try {
          await api.patch(claims, { name: of, namespace }, patch);
          log.info({ claim: shownClaim(claim), volume: name, node }, "the claim names the node that has its volume");
        } catch (error) {
          if (isConflict(error)) throw new Later("the claim changed meanwhile", 100);
          // It was deleted meanwhile; the watch will say so.
          if (!isNotFound(error)) throw error;
        }
        return undefined;
      },
    },
    log,
  );
  volumes.on(({ kind, object }) => {
    if (kind !== "removed") queue.add(object.metadata?.name ?? "");
  });
  known.on(({ kind, object }) => {
    if (kind === "removed") return;
    for (const { metadata } of volumes.by("claim", object.metadata?.uid ?? "")) queue.add(metadata?.name ?? "");
  });
  return queue;
}

/** Undefined: no volume of a node of this driver, or not bound (yet, or any more). */
export function holderOf(driverName: string, { spec, status }: PersistentVolume): string | undefined {
  if (spec?.csi?.driver !== driverName || status?.phase !== "Bound") return undefined;
  const [term, more] = spec.nodeAffinity?.required?.nodeSelectorTerms ?? [];
  if (term === undefined || more !== undefined) return undefined;
  const place = term.matchExpressions?.find(({ key, operator }) => key === `${driverName}/node` && operator === "In");
  return place?.values?.length === 1 ? place.values[0] : undefined;
}

function brief({ metadata, spec, status }: PersistentVolume): PersistentVolume {
  const { claimRef, nodeAffinity, csi } = spec ?? {};
  return {
    metadata: named(metadata),
    spec: {
      ...(claimRef?.uid !== undefined && { claimRef: { uid: claimRef.uid } }),
      ...(nodeAffinity && { nodeAffinity }),
      ...(csi && { csi: { driver: csi.driver, volumeHandle: "" } }),
    },
    status: { ...(status?.phase !== undefined && { phase: status.phase }) },
  };
}

function onlySelection(claim: PersistentVolumeClaim): PersistentVolumeClaim {
  const { metadata } = claim;
  const node = selectedNodeOf(claim);
  return {
    metadata: {
      ...named(metadata),
      ...(metadata?.namespace !== undefined && { namespace: metadata.namespace }),
      ...(node !== undefined && { annotations: { [selectedNodeAnnotation]: node } }),
    },
  };
}

const named = (metadata: PersistentVolume["metadata"]) => ({
  ...(metadata?.name !== undefined && { name: metadata.name }),
  ...(metadata?.uid !== undefined && { uid: metadata.uid }),
  ...(metadata?.resourceVersion !== undefined && { resourceVersion: metadata.resourceVersion }),
});
