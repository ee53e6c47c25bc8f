/** Who serves claims: our driver with its helpers, our driver with the upstream sidecars, or nothing but objects. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ControlPlane } from "../../test/support/cluster/control-plane.ts";
import { type Service, startService } from "../../test/support/cluster/service.ts";
import { startUpstream } from "../../test/support/cluster/upstream.ts";
import { type Driver, startDriver } from "../../test/support/driver.ts";

export const driverName = "local.csi.holdfast";
export const nodeName = "n1";

/** One of them works at a time, so that what the other costs is not in its figures. */
export interface Side {
  readonly name: string;
  /** Returns when the processes run; whether they serve is seen by the first claim. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Process numbers of all that it needs on a node. */
  pids(): readonly number[];
  /** What the driver wrote so far. Absent: there is none. */
  log?(): string;
}

/** As both sides of the comparison publish: what the chart would give the upstream set for local pools. */
export const sidecars = {
  provisioner: [
    ...["--node-deployment", "--feature-gates=Topology=true", "--strict-topology", "--extra-create-metadata"],
    // Ours publishes it too.
    ...["--enable-capacity", "--capacity-ownerref-level=-1"],
  ],
  resizer: [],
  snapshotter: ["--node-deployment"],
} as const;

/** NAMESPACE is where the objects of capacity go. */
export const upstreamEnv = (node: string) => ({ NODE_NAME: node, NAMESPACE: "default" });

/** One process: the driver and its helpers. */
export function ours(plane: ControlPlane, pool: string): Side {
  const config = join(plane.scratch.path, "ours.yaml");
  const kubernetes = { kubeconfig: plane.admin, kubeletDir: join(plane.scratch.path, "kubelet") };
  writeFileSync(config, JSON.stringify({ kubernetes }));
  let driver: Driver | undefined;
  return {
    name: "ours",
    async start() {
      const args = ["--config", config];
      if (driver) await driver.start();
      else driver = await startDriver(plane.scratch, { pools: [pool], nodeId: nodeName, args });
    },
    stop: async () => void (await driver?.stop()),
    pids: () => (driver ? [driver.pid] : []),
    log: () => driver?.log() ?? "",
  };
}

/** The same driver without helpers, and the sidecars with their own defaults. */
export function upstream(plane: ControlPlane, pool: string): Side {
  let driver: Driver | undefined;
  let services: Service[] = [];
  return {
    name: "upstream",
    async start() {
      if (driver) {
        await driver.start();
        for (const service of services) service.start();
        return;
      }
      driver = await startDriver(plane.scratch, { pools: [pool], nodeId: nodeName });
      const started = await startUpstream(plane, { socket: driver.socket, env: upstreamEnv(nodeName), sidecars });
      services = Object.values(started);
    },
    async stop() {
      await Promise.all(services.map((service) => service.kill()));
      await driver?.stop();
    },
    pids: () => (driver ? [driver.pid, ...services.map(({ pid }) => pid)] : []),
    log: () => driver?.log() ?? "",
  };
}

/** What the cluster itself needs: PVs are made at once, with no volume behind them, or with a folder in `folder` on the node. */
export function instant(plane: ControlPlane, folder?: string): Side {
  let service: Service | undefined;
  return {
    name: "instant",
    async start() {
      if (service) service.start();
      else {
        service = startService(plane.scratch, {
          name: "instant-provisioner",
          program: join(import.meta.dirname, "../../bin/holdfast-node"),
          args: [
            join(import.meta.dirname, "instant-provisioner.ts"),
            plane.admin,
            driverName,
            ...(folder ? [folder] : []),
          ],
        });
      }
    },
    stop: async () => service?.kill(),
    pids: () => (service ? [service.pid] : []),
  };
}
