/**
 * Volumes that the driver has and no object names. They may have been made by hand, or their objects may be lost with the
 * cluster's data: they are told, never deleted.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../outcome.ts";
import type { Provisioner } from "./context.ts";

const hourMs = 3_600_000;
const firstLookMs = 60_000;
const mostShown = 10;

/** Looks once a minute after the start and then once an hour, until the context's signal. */
export async function reportStrays(provisioner: Provisioner, everyMs = hourMs, firstMs = firstLookMs): Promise<void> {
  const { driver, signal, log } = provisioner;
  if (!driver.controller.has("LIST_VOLUMES")) return;
  let told = "";
  for (let wait = firstMs; ; wait = everyMs) {
    await sleep(wait * (0.9 + Math.random() / 5), undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const before = await straysOf(provisioner);
      // One that is just being made gets its object in a moment.
      if (before.length > 0) await sleep(Math.min(wait, 30_000), undefined, { signal }).catch(() => undefined);
      const now = before.length > 0 ? new Set(await straysOf(provisioner)) : new Set();
      const ids = before.filter((id) => now.has(id)).sort();
      if (ids.length > 0 && ids.join() !== told) {
        log.warn(
          { count: ids.length, ids: ids.slice(0, mostShown) },
          "volumes without an object: they are left, and reported",
        );
      }
      told = ids.join();
    } catch (error) {
      if (!signal.aborted) log.debug({ why: explain(error) }, "the driver's volumes could not be listed");
    }
  }
}

async function straysOf({ csi, volumes, signal }: Provisioner): Promise<string[]> {
  const strays: string[] = [];
  let startingToken = "";
  do {
    const answer = await csi.controller.listVolumes({ maxEntries: 500, startingToken }, { timeoutMs: 60_000, signal });
    for (const { volume } of answer.entries) {
      if (volume && volumes.by("handle", volume.volumeId).length === 0) strays.push(volume.volumeId);
    }
    startingToken = answer.nextToken;
  } while (startingToken !== "");
  return strays;
}
