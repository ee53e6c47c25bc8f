/** The provisioner: claims get volumes, and volumes that no claim has any more are deleted. */
import { once } from "node:events";
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import type { VolumeAttachment } from "kubernetes-types/storage/v1.js";
import { actsFor } from "../acts-for.ts";
import type { Informer } from "../api/informer.ts";
import { Later, openQueue } from "../api/queue.ts";
import { claims, storageClasses, volumeAttachments } from "../api/resources.ts";
import type { VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { watchClaimsOfNode } from "../claims-of-node.ts";
import type { HelperContext } from "../helper.ts";
import { allSynced } from "../synced.ts";
import { watchContents, watchVolumes, withoutManagedFields } from "../watched.ts";
import type { Provisioner, ProvisionerOptions } from "./context.ts";
import { isAsking } from "./duty.ts";
import { openIntents } from "./intents.ts";
import { classNameOf, cloneFinalizer, shownClaim } from "./names.ts";
import { placesOf } from "./places.ts";
import { releaseClaim, sourceKey, sourceKeysOf } from "./protect.ts";
import { serveClaim } from "./provision.ts";
import { serveVolume } from "./remove.ts";
import { reportStrays } from "./strays.ts";

export type { ProvisionerOptions } from "./context.ts";

const wakeAgainMs = 2_000;

/**
 * Serves claims and deletes volumes of the driver until the context's signal: for the whole cluster, or for one node's. Throws when
 * the intents can't be read or kept.
 */
export async function runProvisioner(context: HelperContext, options: ProvisionerOptions = {}): Promise<void> {
  const { driver, log, signal } = context;
  const volumes = watchVolumes(context);
  const contents = driver.controller.has("CREATE_DELETE_SNAPSHOT") ? watchContents(context) : undefined;
  const provisioner: Provisioner = {
    ...context,
    options,
    timeoutMs: options.timeoutMs ?? 30_000,
    volumes,
    claims: watchAsking(context),
    classes: context.informers.of(storageClasses, { keep: withoutManagedFields }),
    places: placesOf(context),
    intents: await openIntents(options.intentsFolder, log),
    ahead: new Map(),
    ending: new Set(),
    withTopology: driver.plugin.has("VOLUME_ACCESSIBILITY_CONSTRAINTS"),
    holds: (claim) => holds(context, volumes, contents, claim),
  };
  const attachments = driver.controller.has("PUBLISH_UNPUBLISH_VOLUME") ? watchAttachments(context) : undefined;
  const { claims: asking, classes, places } = provisioner;
  if (!(await allSynced([volumes, asking, classes, places, contents, attachments], signal))) return;

  const shared = {
    workers: options.workers ?? 50,
    firstWaitMs: options.firstWaitMs,
    longestWaitMs: options.longestWaitMs,
  };
  const claimQueue = openQueue(
    {
      ...defined(shared),
      name: "claim",
      fields: (uid) => ({ claim: shownKey(provisioner, uid) }),
      run: (uid) => serveClaim(provisioner, uid),
    },
    log,
  );
  const volumeQueue = openQueue(
    {
      ...defined(shared),
      name: "volume",
      fields: (volume) => ({ volume }),
      run: async (name) => {
        await serveVolume(provisioner, attachments, name);
        return undefined;
      },
    },
    log,
  );
  const sourceQueue = openQueue(
    {
      name: "cloned claim",
      workers: 2,
      fields: (uid) => ({ claim: shownKey(provisioner, uid) }),
      run: async (uid) => {
        const [source] = provisioner.claims.by("uid", uid);
        if (source && !(await releaseClaim(provisioner, source))) throw new Later("it is still being cloned");
        return undefined;
      },
    },
    log,
  );

  const letGo = (source: PersistentVolumeClaim | undefined) => {
    const { uid, deletionTimestamp, finalizers } = source?.metadata ?? {};
    if (uid && deletionTimestamp && finalizers?.includes(cloneFinalizer)) sourceQueue.add(uid);
  };
  provisioner.claims.on(({ object }) => {
    if (object.metadata?.uid === undefined) return;
    claimQueue.add(object.metadata.uid);
    letGo(object);
    // A clone that is bound, or gone, was the one that its source waited for.
    for (const key of sourceKeysOf(object)) {
      const [kind, namespace, name = ""] = key.split("/");
      if (kind === "volume") letGo(provisioner.claims.get(name, namespace));
    }
  });
  const wake = (source: string) => {
    for (const { metadata } of provisioner.claims.by("source", source)) {
      if (metadata?.uid === undefined) continue;
      claimQueue.add(metadata.uid);
      // What tells that a source is ready is written in two steps: the second may be a moment behind.
      claimQueue.add(metadata.uid, wakeAgainMs);
    }
  };
  volumes.on(({ object }) => {
    volumeQueue.add(object.metadata?.name ?? "");
    const { namespace = "", name = "", uid } = object.spec?.claimRef ?? {};
    if (uid && provisioner.intents.get(uid)) claimQueue.add(uid);
    wake(sourceKey("volume", namespace, name));
  });
  contents?.on(({ object }) => {
    const { namespace, name } = object.spec.volumeSnapshotRef;
    wake(sourceKey("snapshot", namespace, name));
  });
  attachments?.on(({ kind, object }) => {
    if (kind === "removed") volumeQueue.add(object.spec.source.persistentVolumeName ?? "");
  });
  provisioner.classes.on(({ object }) => {
    if (object.provisioner !== driver.name) return;
    for (const claim of provisioner.claims.all()) {
      if (classNameOf(claim) === object.metadata?.name && claim.metadata?.uid) claimQueue.add(claim.metadata.uid);
    }
  });
  for (const { claim } of provisioner.intents.all()) claimQueue.add(claim.uid);

  log.info({ driver: driver.name, ...(context.node !== undefined && { node: context.node }) }, "the provisioner works");
  const reporting = reportStrays(provisioner, options.reportEveryMs, options.reportEveryMs);
  if (!signal.aborted) await once(signal, "abort");
  await reporting;
  await Promise.all([claimQueue.stop(), volumeQueue.stop(), sourceQueue.stop()]);
}

const shownKey = (provisioner: Provisioner, uid: string): string => {
  const [claim] = provisioner.claims.by("uid", uid);
  if (claim) return shownClaim(claim);
  const plan = provisioner.intents.get(uid);
  return plan ? `${plan.claim.namespace}/${plan.claim.name}` : uid;
};

const defined = ({
  workers,
  firstWaitMs,
  longestWaitMs,
}: {
  workers: number;
  firstWaitMs: number | undefined;
  longestWaitMs: number | undefined;
}) => ({
  workers,
  ...(firstWaitMs !== undefined && { firstWaitMs }),
  ...(longestWaitMs !== undefined && { longestWaitMs }),
});

/** The claims that ask this driver for a volume, and those that are kept because they were cloned. On a node what concerns it. */
function watchAsking(context: HelperContext): Informer<PersistentVolumeClaim> {
  const { informers, driver, node } = context;
  if (node !== undefined) return watchClaimsOfNode({ ...context, node });
  const keeps = (claim: PersistentVolumeClaim): boolean => {
    const { deletionTimestamp, finalizers } = claim.metadata ?? {};
    if (deletionTimestamp && finalizers?.includes(cloneFinalizer)) return true;
    return isAsking(driver.name, claim);
  };
  return informers.of(
    claims,
    {
      keep: (claim) => (keeps(claim) ? withoutManagedFields(claim) : undefined),
      indexes: { uid: ({ metadata }) => [metadata?.uid ?? ""], source: sourceKeysOf },
    },
    "claims that ask the driver",
  );
}

function watchAttachments({ informers, driver }: HelperContext): Informer<VolumeAttachment> {
  return informers.of(
    volumeAttachments,
    {
      keep: (attachment) => (attachment.spec.attacher === driver.name ? withoutManagedFields(attachment) : undefined),
      indexes: { volume: ({ spec }) => (spec.source.persistentVolumeName ? [spec.source.persistentVolumeName] : []) },
    },
    "attachments of the driver, by volume",
  );
}

function holds(
  context: HelperContext,
  volumes: Informer<import("kubernetes-types/core/v1.js").PersistentVolume>,
  contents: Informer<VolumeSnapshotContent> | undefined,
  claim: PersistentVolumeClaim,
): boolean {
  return sourceKeysOf(claim).some((key) => {
    const [kind, namespace, name] = key.split("/");
    const source = `${namespace}/${name}`;
    if (kind === "snapshot") return (contents?.by("snapshot", source).length ?? 0) > 0;
    return volumes.by("claim", source).some((volume) => actsFor(context, volume));
  });
}
