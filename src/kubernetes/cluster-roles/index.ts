/** What local pools need done once in the cluster, for it takes more power, or more sight, than a node's. */
import { once } from "node:events";
import type { Node } from "kubernetes-types/core/v1.js";
import { isNotFound } from "../api/api-error.ts";
import { openQueue } from "../api/queue.ts";
import { claims, csiNodes, nodes, storageCapacities, storageClasses } from "../api/resources.ts";
import { isAsking } from "../provisioner/duty.ts";
import { classNameOf, selectedNodeOf, shownClaim } from "../provisioner/names.ts";
import { allSynced } from "../synced.ts";
import { withoutManagedFields } from "../watched.ts";
import type { ClusterRolesContext, ClusterRolesOptions, Roles } from "./context.ts";
import { openHolders } from "./holders.ts";
import { ImmediateClaims } from "./immediate.ts";
import { isReady, takeBackFromLost } from "./lost-nodes.ts";

export type { ClusterRolesContext, ClusterRolesOptions } from "./context.ts";

/** Picks nodes for claims that wait for no pod, takes selections of nodes that are gone back, and corrects those of bound claims, until the context's signal. */
export async function runClusterRoles(context: ClusterRolesContext, options: ClusterRolesOptions = {}): Promise<void> {
  const { driverName, log, signal } = context;
  const roles = watch(context);
  const { claims: asking, classes, capacities, nodes: known, registered } = roles;
  if (!(await allSynced([asking, classes, capacities, known, registered], signal))) return;
  const immediate = new ImmediateClaims(roles, options.refusedForMs ?? 60_000);
  const lostSince = new Map<string, number>();
  const patience = { goneForMs: options.goneForMs ?? 10_000, notReadyForMs: options.notReadyForMs ?? 60_000 };

  const queue = openQueue(
    {
      name: "claim",
      workers: 20,
      longestWaitMs: 60_000,
      fields: (uid) => {
        const [claim] = asking.by("uid", uid);
        return { claim: claim ? shownClaim(claim) : uid };
      },
      run: async (uid) => {
        const [claim] = asking.by("uid", uid);
        if (claim === undefined) {
          immediate.forget(uid);
          return undefined;
        }
        try {
          await takeBackFromLost(roles, claim, lostSince, patience);
          const [now = claim] = asking.by("uid", uid);
          await immediate.serve(now);
        } catch (error) {
          // The claim was deleted meanwhile; the watch will say so.
          if (!isNotFound(error)) throw error;
        }
        return undefined;
      },
    },
    log,
  );
  asking.on(({ object }) => queue.add(object.metadata?.uid ?? ""));
  const again = (concerns: (claim: Parameters<typeof selectedNodeOf>[0]) => boolean, delayMs: number) => {
    for (const claim of asking.all()) if (concerns(claim)) queue.add(claim.metadata?.uid ?? "", delayMs);
  };
  known.on(({ kind, object }) => {
    if (kind === "removed") again((claim) => selectedNodeOf(claim) === object.metadata?.name, 0);
    else if (kind === "added") again((claim) => selectedNodeOf(claim) === undefined, 1_000);
    else if (!isReady(object)) again((claim) => selectedNodeOf(claim) === object.metadata?.name, 0);
    else if (lostSince.delete(object.metadata?.name ?? "")) {
      again((claim) => selectedNodeOf(claim) === undefined, 1_000);
    }
  });
  registered.on(({ kind }) => {
    if (kind === "added") again((claim) => selectedNodeOf(claim) === undefined, 1_000);
  });
  capacities.on(({ object }) => {
    again((claim) => selectedNodeOf(claim) === undefined && classNameOf(claim) === object.storageClassName, 1_000);
  });
  classes.on(({ object }) => again((claim) => classNameOf(claim) === object.metadata?.name, 0));

  const holders = openHolders(context);

  log.info({ driver: driverName }, "the controller's part for local pools works");
  if (!signal.aborted) await once(signal, "abort");
  await Promise.all([queue.stop(), holders.stop()]);
}

function watch(context: ClusterRolesContext): Roles {
  const { informers, driverName } = context;
  return {
    ...context,
    claims: informers.of(
      claims,
      {
        keep: (claim) => (isAsking(driverName, claim) ? withoutManagedFields(claim) : undefined),
        indexes: { uid: ({ metadata }) => [metadata?.uid ?? ""] },
      },
      "claims that ask the local driver",
    ),
    classes: informers.of(storageClasses, { keep: withoutManagedFields }),
    capacities: informers.of(
      storageCapacities,
      {
        labelSelector: `csi.storage.k8s.io/drivername=${driverName}`,
        keep: withoutManagedFields,
        indexes: { class: ({ storageClassName }) => [storageClassName] },
      },
      "capacities of the local driver",
    ),
    nodes: informers.of(nodes, { keep: brief }, "nodes, briefly"),
    registered: informers.of(
      csiNodes,
      {
        keep: (node) =>
          node.spec.drivers.some(({ name }) => name === driverName) ? withoutManagedFields(node) : undefined,
      },
      "nodes with the local driver",
    ),
  };
}

/** A node's status is long, and changes often. */
const brief = ({ metadata, spec, status }: Node): Node => ({
  metadata: {
    ...(metadata?.name !== undefined && { name: metadata.name }),
    ...(metadata?.uid !== undefined && { uid: metadata.uid }),
    ...(metadata?.resourceVersion !== undefined && { resourceVersion: metadata.resourceVersion }),
    ...(metadata?.labels && { labels: metadata.labels }),
  },
  spec: { ...(spec?.unschedulable && { unschedulable: true }) },
  status: { conditions: status?.conditions?.filter(({ type }) => type === "Ready") ?? [] },
});
