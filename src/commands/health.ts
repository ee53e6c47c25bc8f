/** Health over HTTP for a process that serves: what can't be had at the start is tried again, for the work goes first. */
import { setTimeout as sleep } from "node:timers/promises";
import type { HealthChecks } from "../observe/health.ts";
import type { Log } from "../observe/log.ts";

const againMs = 5000;

/** Serves until `signal`. Resolves when it answers, or at the signal. */
export async function serveHealth(
  at: { readonly host?: string; readonly port: number },
  checks: HealthChecks,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const { startHealth } = await import("../observe/health.ts");
  while (!signal.aborted) {
    try {
      const server = await startHealth(at, checks);
      signal.addEventListener("abort", () => void server.close(), { once: true });
      log.info({ port: server.port }, "health is served");
      return;
    } catch (error) {
      log.error({ ...at, error, againInMs: againMs }, "the health port can't be served; it is tried again");
    }
    await sleep(againMs, undefined, { signal }).catch(() => undefined);
  }
}
