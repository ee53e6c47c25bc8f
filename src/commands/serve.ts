/** The daemon. */
import { mkdirSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { dirname } from "node:path";
import { defaultEndpoint, loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { socketPathOf } from "../csi/endpoint.ts";
import { startServer } from "../csi/server.ts";
import { createLog, type Log } from "../observe/log.ts";
import type { Readiness } from "../volumes/api.ts";
import { openDriver } from "../volumes/driver.ts";
import { parseServeFlags } from "./serve-flags.ts";
import { endOnSurprise, stopOnSignal } from "./stop-on-signal.ts";
import { version } from "./version.ts";

/** How often it is asked again whether a pool that was missing at the start is there now. */
const askAgainMs = 2000;

/** Runs until a signal; the process then ends by itself. Throws what makes a start impossible. */
export async function serve(args: readonly string[]): Promise<void> {
  const config = await loadConfig(parseServeFlags(args));
  const log = createLog({
    level: config.logLevel,
    format: config.logFormat ?? (process.stderr.isTTY ? "pretty" : "json"),
  });
  endOnSurprise(log);
  if (config.endpoint === defaultEndpoint(config.driverName)) {
    mkdirSync(dirname(socketPathOf(config.endpoint)), { recursive: true, mode: 0o700 });
  }
  const services = new Set(config.services);
  const driver = await openDriver({ ...config, log });
  const server = await startServer({
    endpoint: config.endpoint,
    services,
    rules: driver,
    // Every driver of ours has a controller, if not in this process then in another.
    info: {
      driverName: config.driverName,
      vendorVersion: version(),
      hasController: true,
      features: driver.controller.features,
    },
    log,
  });
  driver.start();
  const watch = announce(config, driver.readiness, server.socketPath, log);

  stopOnSignal(log, async (signal) => {
    clearInterval(watch);
    log.info({ signal, graceSeconds: config.graceSeconds }, "stopping: running calls may finish");
    const until = performance.now() + config.graceSeconds * 1000;
    await server.stop({ graceMs: config.graceSeconds * 1000 });
    // What goes on for callers that left, as a long copy, gets what is left of the time.
    await driver.stop(Math.max(0, until - performance.now()));
  });
}

/** Says once that the driver is ready, or first what it waits for. */
function announce(config: Config, readiness: Readiness, socket: string, log: Log): NodeJS.Timeout {
  let told: string | undefined;
  const ask = async () => {
    const missing = await readiness.ready();
    if (missing === undefined) {
      clearInterval(timer);
      const pools = config.pools.map((pool) => `${pool.name}=${pool.backend}:${pool.path}`);
      const { driverName: driver, nodeId: node } = config;
      // A killed process keeps nothing: what was compiled so far is written now.
      flushCompileCache();
      log.info({ driver, node, endpoint: `unix://${socket}`, pools, ms: Math.round(performance.now()) }, "ready");
    } else if (missing !== told) {
      told = missing;
      log.warn({ missing }, "listening, but not ready");
    }
  };
  const safely = () => void ask().catch((error: unknown) => log.error({ error }, "the readiness check failed"));
  const timer = setInterval(safely, askAgainMs);
  safely();
  return timer;
}
