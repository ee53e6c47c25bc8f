/** The daemon. */
import { existsSync, mkdirSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { dirname, join } from "node:path";
import { defaultEndpoint, loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { socketPathOf } from "../csi/endpoint.ts";
import { startServer } from "../csi/server.ts";
import type { Composition } from "../kubernetes/compose.ts";
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
  const driver = config.pools.length === 0 ? undefined : await startDriver(config, log);
  const ending = new AbortController();
  let kubernetes: Composition | undefined;
  stopOnSignal(log, async (signal) => {
    log.info({ signal, graceSeconds: config.graceSeconds }, "stopping: running calls may finish");
    const until = performance.now() + config.graceSeconds * 1000;
    const left = () => Math.max(0, until - performance.now());
    // The helpers are callers of the driver: it answers them until they have ended. The kubelet's calls need their time too.
    await kubernetes?.stop(left() / 2);
    await driver?.stop(left);
    ending.abort();
  });

  if (config.kubernetes || config.healthPort) {
    // Whoever waits for the driver does not wait for their code.
    await driver?.asked;
    const { startHealth, startKubernetes } = await import("./serve-beside.ts");
    if (config.kubernetes) kubernetes = await startKubernetes(config, config.kubernetes, log);
    void startHealth(config, driver !== undefined, kubernetes, log, ending.signal);
  }
}

interface RunningDriver {
  /** It was asked once whether it is ready, and the log says what it answered. */
  readonly asked: Promise<void>;
  /** `left` tells how many milliseconds there are for what still runs. */
  stop(left: () => number): Promise<void>;
}

async function startDriver(config: Config, log: Log): Promise<RunningDriver> {
  makeSocketFolder(config);
  const services = new Set(config.services);
  const driver = await openDriver({ ...config, opensVolumes: services.has("node"), log });
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
  const { asked, watch } = announce(config, driver.readiness, server.socketPath, log);
  return {
    asked,
    stop: async (left) => {
      clearInterval(watch);
      await server.stop({ graceMs: left() });
      // What goes on for callers that left, as a long copy, gets what is left of the time.
      await driver.stop(left());
    },
  };
}

/** Of the default endpoints the folder is made; of any other it has to be there. */
function makeSocketFolder({ endpoint, driverName, kubernetes }: Config): void {
  const folder = dirname(socketPathOf(endpoint));
  if (endpoint === defaultEndpoint(driverName)) mkdirSync(folder, { recursive: true, mode: 0o700 });
  // Where there is no kubelet none of its folders is made.
  if (!kubernetes || folder !== join(kubernetes.kubeletDir, "plugins", driverName)) return;
  if (existsSync(kubernetes.kubeletDir)) mkdirSync(folder, { recursive: true, mode: 0o750 });
}

/** Says once that the driver is ready, or first what it waits for. `asked`: it was asked once. */
function announce(
  config: Config,
  readiness: Readiness,
  socket: string,
  log: Log,
): { readonly asked: Promise<void>; readonly watch: NodeJS.Timeout } {
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
  const safely = () => ask().catch((error: unknown) => log.error({ error }, "the readiness check failed"));
  const timer = setInterval(() => void safely(), askAgainMs);
  return { asked: safely(), watch: timer };
}
