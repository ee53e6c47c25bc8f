/** When the API server's watches told what: the one clock for all sides. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ApiClient } from "../../src/kubernetes/api/client.ts";
import { startInformer } from "../../src/kubernetes/api/informer.ts";
import { claims, persistentVolumes } from "../../src/kubernetes/api/resources.ts";
import { createLog } from "../../src/observe/log.ts";

export interface Clock {
  /** Waits until all of these claims are bound. Fails after `withinMs`; absent: 90,000. */
  bound(names: readonly string[], withinMs?: number): Promise<void>;
  /** Milliseconds from the first that was seen of these claims to the last that was seen bound. */
  boundIn(names: readonly string[]): number;
  /** Waits until there is no PV. Gives back `performance.now()` of the last that went. */
  noVolumes(withinMs?: number): Promise<number>;
}

/** Waits for the first lists; ends with `signal`. */
export async function openClock(api: ApiClient, signal: AbortSignal): Promise<Clock> {
  const log = createLog({ level: "warn", format: "json" });
  const added = new Map<string, number>();
  const bound = new Map<string, number>();
  let lastGone = performance.now();
  const seen = startInformer(api, claims, {}, log, signal);
  seen.on(({ kind, object: { metadata, status } }) => {
    const name = metadata?.name ?? "";
    const now = performance.now();
    if (kind === "removed") return;
    if (!added.has(name)) added.set(name, now);
    if (status?.phase === "Bound" && !bound.has(name)) bound.set(name, now);
  });
  const volumes = startInformer(api, persistentVolumes, {}, log, signal);
  volumes.on(({ kind }) => {
    if (kind === "removed") lastGone = performance.now();
  });
  await Promise.all([seen.synced, volumes.synced]);

  const until = async (what: () => string | undefined, withinMs: number) => {
    for (const end = performance.now() + withinMs; ; await sleep(5)) {
      const missing = what();
      if (missing === undefined) return;
      if (performance.now() > end) throw new Error(`${missing}, after ${withinMs} ms`);
    }
  };
  return {
    bound: (names, withinMs = 90_000) =>
      until(() => {
        const missing = names.filter((name) => !bound.has(name));
        return missing.length > 0 ? `${missing.length} of ${names.length} claims are not bound` : undefined;
      }, withinMs),
    boundIn(names) {
      const from = Math.min(...names.map((name) => added.get(name) ?? Number.NaN));
      return Math.max(...names.map((name) => bound.get(name) ?? Number.NaN)) - from;
    },
    async noVolumes(withinMs = 90_000) {
      await until(() => {
        const { length } = [...volumes.all()];
        return length > 0 ? `${length} PVs are still there` : undefined;
      }, withinMs);
      return lastGone;
    },
  };
}
