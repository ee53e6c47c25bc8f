/** Which of the snapshot kinds the cluster has: they are custom resources, and a cluster may do without, or get them later. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../../observe/log.ts";
import { isNotFound } from "../api/api-error.ts";
import type { ApiClient } from "../api/client.ts";
import {
  type Resource,
  volumeGroupSnapshotClasses,
  volumeGroupSnapshotContents,
  volumeGroupSnapshots,
} from "../api/resources.ts";
import type {
  VolumeGroupSnapshot,
  VolumeGroupSnapshotClass,
  VolumeGroupSnapshotContent,
} from "../api/snapshot-types.ts";

export interface GroupKinds {
  readonly snapshots: Resource<VolumeGroupSnapshot>;
  readonly contents: Resource<VolumeGroupSnapshotContent>;
  readonly classes: Resource<VolumeGroupSnapshotClass>;
}

/** v1 and v1beta2 have the same fields; v1beta1 has others and is not spoken. */
const groupVersions = ["v1", "v1beta2"];
const askAgainMs = 30_000;

/** Waits until the cluster has VolumeSnapshots, and says once that it waits. Throws only when `signal` ends it. */
export async function waitForSnapshotKinds(api: ApiClient, log: Log, signal: AbortSignal): Promise<void> {
  const plurals = ["volumesnapshots", "volumesnapshotcontents", "volumesnapshotclasses"];
  await again(log, signal, "the cluster has no VolumeSnapshots: waiting for their definitions", async () =>
    (await has(api, "snapshot.storage.k8s.io", "v1", plurals, signal)) ? true : undefined,
  );
}

/** The same for VolumeGroupSnapshots, without a word; tells in which version they are to be asked for. */
export async function waitForGroupKinds(api: ApiClient, log: Log, signal: AbortSignal): Promise<GroupKinds> {
  const kinds = {
    snapshots: volumeGroupSnapshots,
    contents: volumeGroupSnapshotContents,
    classes: volumeGroupSnapshotClasses,
  };
  const plurals = Object.values(kinds).map(({ plural }) => plural);
  return again(log, signal, undefined, async () => {
    for (const version of groupVersions) {
      if (!(await has(api, kinds.snapshots.group, version, plurals, signal))) continue;
      return {
        snapshots: { ...kinds.snapshots, version },
        contents: { ...kinds.contents, version },
        classes: { ...kinds.classes, version },
      };
    }
    return undefined;
  });
}

async function again<T>(
  log: Log,
  signal: AbortSignal,
  message: string | undefined,
  ask: () => Promise<T | undefined>,
): Promise<T> {
  for (let tries = 0; ; tries++) {
    signal.throwIfAborted();
    try {
      const found = await ask();
      if (found !== undefined) return found;
      if (tries === 0 && message !== undefined) log.info({}, message);
    } catch (error) {
      if (!signal.aborted) log.debug({ error: String(error) }, "the API server does not say which kinds it has");
    }
    await sleep(askAgainMs * (0.5 + Math.random()), undefined, { signal });
  }
}

/** Asked of the discovery API, which every account may read. */
async function has(
  api: ApiClient,
  group: string,
  version: string,
  plurals: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const answer = await api.send({ method: "GET", path: `/apis/${group}/${version}`, signal });
    const names = new Set((answer as { resources?: { name: string }[] }).resources?.map(({ name }) => name));
    return plurals.every((plural) => names.has(plural));
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}
