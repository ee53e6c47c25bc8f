/** A volume that is being deleted goes when nothing attaches it any more. */
import type { PersistentVolume } from "kubernetes-types/core/v1.js";
import type { VolumeAttachment } from "kubernetes-types/storage/v1.js";
import type { Informer } from "../api/informer.ts";
import { openQueue, type QueueOptions } from "../api/queue.ts";
import { persistentVolumes } from "../api/resources.ts";
import type { HelperContext } from "../helper.ts";
import { withoutFinalizer } from "./finalizers.ts";
import { attacherFinalizer } from "./names.ts";

/** `attachments` needs the index `volume`. Gives back how to end it. */
export function releaseVolumes(
  { api, driver, log }: HelperContext,
  volumes: Informer<PersistentVolume>,
  attachments: Informer<VolumeAttachment>,
  options: Pick<QueueOptions, "workers" | "firstWaitMs" | "longestWaitMs">,
): () => Promise<void> {
  const finalizer = attacherFinalizer(driver.name);
  const run = async (name: string) => {
    const volume = volumes.get(name);
    if (volume?.metadata?.deletionTimestamp === undefined) return undefined;
    if (!volume.metadata.finalizers?.includes(finalizer) || attachments.by("volume", name).length > 0) return undefined;
    const rest = await withoutFinalizer(api, persistentVolumes, volume, finalizer);
    if (rest !== undefined) volumes.put(rest);
    log.info({ volume: name }, "nothing attaches the volume any more: it may go");
    return undefined;
  };
  const queue = openQueue({ name: "attacher", ...options, run, fields: (volume) => ({ volume }) }, log);
  const stopHearing = [
    volumes.on(({ kind, object }) => {
      if (kind !== "removed" && object.metadata?.deletionTimestamp !== undefined) queue.add(object.metadata.name ?? "");
    }),
    attachments.on(({ kind, object }) => {
      const volume = object.spec.source.persistentVolumeName;
      if (kind === "removed" && volume !== undefined) queue.add(volume);
    }),
  ];
  return async () => {
    for (const stop of stopHearing) stop();
    await queue.stop();
  };
}
