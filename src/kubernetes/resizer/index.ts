/** The resizer: claims that ask for more get it, for the driver behind the socket. */
import { once } from "node:events";
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import { type Change, keyOf, keyOfObject } from "../api/informer.ts";
import { openQueue } from "../api/queue.ts";
import type { HelperContext } from "../helper.ts";
import { watchClaims, watchVolumes } from "../watched.ts";
import { growthStatusOf, requestOf, wantsGrowth } from "./claim-sizes.ts";
import { makeGrower } from "./grow.ts";

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
}

/**
 * Runs until `context.signal`; what it waits for then is the end of the calls that run. Two at once do no harm: every
 * write names the version that it was decided by, and the driver's call may be repeated.
 */
export async function runResizer(context: HelperContext, options: ResizerOptions = {}): Promise<void> {
  const { driver, log, signal } = context;
  const grows = driver.controller.has("EXPAND_VOLUME") || driver.node.has("EXPAND_VOLUME");
  if (!grows) {
    log.info({ driver: driver.name }, "the driver can't grow volumes: the resizer has nothing to do");
    if (!signal.aborted) await once(signal, "abort");
    return;
  }
  const claims = watchClaims(context);
  const volumes = watchVolumes(context);
  await Promise.all([claims.synced, volumes.synced]);
  const longestWaitMs = options.longestWaitMs ?? 300_000;
  const grower = makeGrower(context, claims, volumes, {
    timeoutMs: options.timeoutMs ?? 60_000,
    infeasibleMs: longestWaitMs,
    inUseMs: options.inUseMs ?? 15_000,
  });
  const find = (key: string) => {
    const [namespace = "", name = ""] = key.split("/");
    const claim = claims.get(name, namespace);
    const volume = volumes.get(claim?.spec?.volumeName ?? "");
    return claim && volume ? { claim, volume } : undefined;
  };
  const growth = openQueue(
    {
      name: "resizer",
      workers: options.workers ?? 10,
      firstWaitMs: options.firstWaitMs ?? 1_000,
      longestWaitMs,
      fields: (key) => ({ claim: key, volume: find(key)?.volume.metadata?.name }),
      async run(key) {
        const found = find(key);
        return found && grower.turn(found.claim, found.volume);
      },
    },
    log,
  );
  const stopHearing = [
    claims.on((change) => {
      if (change.kind === "removed") grower.forget(change.object.metadata?.uid ?? "");
      else if (wantsGrowth(change.object) && concernsGrowth(change)) growth.add(keyOfObject(change.object));
    }),
    volumes.on(({ kind, object }) => {
      const { name, namespace } = object.spec?.claimRef ?? {};
      if (kind === "added" && name !== undefined) growth.add(keyOf(name, namespace));
    }),
  ];
  if (!signal.aborted) await once(signal, "abort");
  for (const stop of stopHearing) stop();
  await growth.stop();
}

/** What we write ourselves must not begin another turn, else no wait after a failure would last. */
function concernsGrowth({ object, before }: Change<PersistentVolumeClaim>): boolean {
  if (before === undefined) return true;
  const status = growthStatusOf(object);
  return (
    requestOf(object) !== requestOf(before) ||
    object.spec?.volumeName !== before.spec?.volumeName ||
    object.status?.phase !== before.status?.phase ||
    object.status?.capacity?.["storage"] !== before.status?.capacity?.["storage"] ||
    (status !== growthStatusOf(before) && status !== undefined && /^Node.*(InProgress|Infeasible)$/.test(status)) ||
    (status === undefined && growthStatusOf(before) !== undefined)
  );
}
