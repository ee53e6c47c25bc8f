/** What `serve` runs beside the driver: loaded only where it is asked for, and after the driver listens. */
import { join } from "node:path";
import type { Config, KubernetesConfig } from "../config/schema.ts";
import type { Composition } from "../kubernetes/compose.ts";
import type { Log } from "../observe/log.ts";
import { version } from "./version.ts";

/** The helpers in the process of a driver that listens already, or without one. */
export async function startKubernetes(config: Config, kubernetes: KubernetesConfig, log: Log): Promise<Composition> {
  const { compose } = await import("../kubernetes/compose.ts");
  const shared = config.pools.some((pool) => pool.shared);
  return compose({
    ...kubernetes,
    ...(config.pools.length === 0 ? {} : { csiAddress: config.endpoint }),
    driverName: config.driverName,
    node: config.nodeId,
    shared,
    stateFolder: kubernetes.stateFolder ?? stateFolderOf(config, kubernetes),
    userAgent: `holdfast/${version()}`,
    log,
  });
}

/** A shared pool keeps what its controller began, wherever the next one runs. */
function stateFolderOf({ driverName, pools }: Config, { role, kubeletDir }: KubernetesConfig): string {
  const [pool] = pools;
  if (role === "controller" && pool) return join(pool.path, "kubernetes");
  return join(kubeletDir, "plugins", `${driverName}-state`);
}

/** Begins to serve health, where the configuration has a port for it, until `signal`. Never rejects. */
export async function startHealth(
  config: Config,
  hasDriver: boolean,
  kubernetes: Composition | undefined,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  if (!config.healthPort) return;
  const [{ serveHealth }, { driverChecks }, { connect }] = await Promise.all([
    import("./health.ts"),
    import("../kubernetes/driver-checks.ts"),
    import("../csi/client.ts"),
  ]);
  const client = connect(config.endpoint);
  signal.addEventListener("abort", () => client.close(), { once: true });
  const driver = hasDriver ? driverChecks(client) : undefined;
  const ready = driver ? [driver.ready] : [];
  const checks = {
    healthz: ready,
    // Not ready is no reason to start again: that brings no disk back.
    livez: driver ? [driver.lives] : [],
    readyz: [...ready, ...(kubernetes?.ready ?? [])],
  };
  await serveHealth(config.healthPort, checks, log, signal);
}
