/** The resizer: claims that ask for more get it, and those that ask for another VolumeAttributesClass get that. */
import { once } from "node:events";
import type { PersistentVolume, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { type Change, type Informer, keyOf, keyOfObject } from "../api/informer.ts";
import { openQueue } from "../api/queue.ts";
import { volumeAttributesClasses } from "../api/resources.ts";
import { watchClaimsOfNode } from "../claims-of-node.ts";
import type { HelperContext } from "../helper.ts";
import { allSynced } from "../synced.ts";
import { watchClaims, watchVolumes, withoutManagedFields } from "../watched.ts";
import { growthStatusOf, requestOf, wantsGrowth } from "./claim-sizes.ts";
import { servesClasses } from "./classes-served.ts";
import { makeGrower } from "./grow.ts";
import { makeModifier } from "./modify.ts";
import { currentClassOf, modifyStatusOf, wantedClassOf } from "./modify-marks.ts";

export interface ResizerOptions {
  /** How many claims at once. Absent: 10. */
  readonly workers?: number;
  /** Of a call of the driver, in milliseconds. Absent: 60,000. */
  readonly timeoutMs?: number;
  /** The first wait after a failure, and the longest, in milliseconds. Absent: 1,000 and 300,000. */
  readonly firstWaitMs?: number;
  readonly longestWaitMs?: number;
  /** How often it is looked whether a volume that can't grow while used is still used, in milliseconds. Absent: 15,000. */
  readonly inUseMs?: number;
  /** ControllerModifyVolume gets the names of claim and volume too (`csi.storage.k8s.io/pvc/name` ...). Absent: no. */
  readonly extraModifyMetadata?: boolean;
}

/** What claims are done for, with what this process knows of them. */
interface Work {
  /** Does what is to be done now; answers when to look again. Throws to be called again later. */
  turn(claim: PersistentVolumeClaim, volume: PersistentVolume): Promise<number | undefined>;
  forget(uid: string): void;
}

/**
 * Runs until `context.signal`; what it waits for then is the end of the calls that run. Two at once do no harm: every
 * write names the version that it was decided by, and the driver's calls may be repeated.
 */
export async function runResizer(context: HelperContext, options: ResizerOptions = {}): Promise<void> {
  const { api, driver, informers, log, signal } = context;
  const grows = driver.controller.has("EXPAND_VOLUME") || driver.node.has("EXPAND_VOLUME");
  const modifies = driver.controller.has("MODIFY_VOLUME") && (await servesClasses(api, log, signal));
  if (!grows) log.info({ driver: driver.name }, "the driver can't grow volumes");
  if (!grows && !modifies) {
    if (!signal.aborted) await once(signal, "abort");
    return;
  }
  const ofNode = context.node === undefined ? undefined : watchClaimsOfNode({ ...context, node: context.node });
  const claims = ofNode ?? watchClaims(context);
  const volumes = watchVolumes(context);
  if (!(await allSynced([claims, volumes], signal))) return;
  const timeoutMs = options.timeoutMs ?? 60_000;
  const infeasibleMs = options.longestWaitMs ?? 300_000;
  const ends: (() => unknown)[] = [];

  /** Gives back how to add a claim. */
  const serve = (work: Work, concerns: (change: Change<PersistentVolumeClaim>) => boolean) => {
    const queue = openClaimQueue(context, options, claims, volumes, work, (key) => ofNode?.seek(key));
    ends.push(
      claims.on((change) => {
        if (change.kind === "removed") work.forget(change.object.metadata?.uid ?? "");
        else if (concerns(change)) queue.add(keyOfObject(change.object));
      }),
      volumes.on(({ kind, object }) => {
        const { name, namespace } = object.spec?.claimRef ?? {};
        if (kind === "added" && name !== undefined) queue.add(keyOf(name, namespace));
      }),
      () => queue.stop(),
    );
    return (key: string) => queue.add(key);
  };

  if (grows) {
    const inUseMs = options.inUseMs ?? 15_000;
    serve(makeGrower(context, claims, volumes, { timeoutMs, infeasibleMs, inUseMs }), concernsGrowth);
  }
  if (modifies) {
    const classes = informers.of(volumeAttributesClasses, { keep: withoutManagedFields }, "VolumeAttributesClasses");
    await allSynced([classes], signal);
    const extraMetadata = options.extraModifyMetadata ?? false;
    const work = makeModifier(context, claims, volumes, classes, { timeoutMs, infeasibleMs, extraMetadata });
    const add = serve(work, concernsModify);
    const waiting = ({ object: { metadata } }: Change<{ metadata?: { name?: string } }>) => {
      for (const claim of claims.all()) if (wantedClassOf(claim) === metadata?.name) add(keyOfObject(claim));
    };
    ends.push(classes.on((change) => change.kind === "added" && waiting(change)));
  }
  log.info({ driver: driver.name, ...(context.node !== undefined && { node: context.node }) }, "the resizer works");
  if (!signal.aborted) await once(signal, "abort");
  await Promise.all(ends.map((end) => end()));
}

function openClaimQueue(
  { log }: HelperContext,
  options: ResizerOptions,
  claims: Informer<PersistentVolumeClaim>,
  volumes: Informer<PersistentVolume>,
  work: Work,
  seek: (key: string) => Promise<unknown> | undefined,
) {
  const find = (key: string) => {
    const [namespace = "", name = ""] = key.split("/");
    const claim = claims.get(name, namespace);
    const volume = volumes.get(claim?.spec?.volumeName ?? "");
    return claim && volume ? { claim, volume } : undefined;
  };
  return openQueue(
    {
      name: "resizer",
      workers: options.workers ?? 10,
      firstWaitMs: options.firstWaitMs ?? 1_000,
      longestWaitMs: options.longestWaitMs ?? 300_000,
      fields: (key) => ({ claim: key, volume: find(key)?.volume.metadata?.name }),
      async run(key) {
        await seek(key);
        const found = find(key);
        return found && work.turn(found.claim, found.volume);
      },
    },
    log,
  );
}

const differs = <T>({ object, before }: Change<T>, of: (object: T) => unknown): boolean =>
  before === undefined || of(object) !== of(before);

const boundTo = ({ spec, status }: PersistentVolumeClaim): string => `${status?.phase} ${spec?.volumeName}`;

/** What we write ourselves must not begin another turn, else no wait after a failure would last. */
function concernsGrowth(change: Change<PersistentVolumeClaim>): boolean {
  if (!wantsGrowth(change.object)) return false;
  const status = growthStatusOf(change.object);
  return (
    differs(change, requestOf) ||
    differs(change, boundTo) ||
    differs(change, ({ status: is }) => is?.capacity?.["storage"]) ||
    // By the kubelet, or taken away by a person.
    (differs(change, growthStatusOf) && (status === undefined || status === "NodeResizeInfeasible"))
  );
}

function concernsModify(change: Change<PersistentVolumeClaim>): boolean {
  const status = modifyStatusOf(change.object);
  if (status === undefined && wantedClassOf(change.object) === currentClassOf(change.object)) return false;
  return (
    differs(change, wantedClassOf) ||
    differs(change, boundTo) ||
    (status === undefined && differs(change, (claim) => modifyStatusOf(claim) === undefined))
  );
}
