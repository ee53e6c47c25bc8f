/** The sides on a node with a kubelet: the driver within the kubelet's machine, the sidecars beside it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CSINode } from "kubernetes-types/storage/v1.js";
import type { ControlPlane } from "../../test/support/cluster/control-plane.ts";
import type { Kubelet } from "../../test/support/cluster/kubelet.ts";
import { type Service, startService } from "../../test/support/cluster/service.ts";
import { startUpstream } from "../../test/support/cluster/upstream.ts";
import { holdfast } from "../../test/support/driver.ts";
import { driverName, type Side, sidecars, upstreamEnv } from "./sides.ts";

/** Where the driver's socket is, in the machine. */
export const socketIn = ({ kubeletDir }: Kubelet): string => join(kubeletDir, "plugins", driverName, "csi.sock");

/** Starts `bin/holdfast ARGS` in the kubelet's machine, but in this machine's network: nothing lies between it and the API server. */
function startInside(plane: ControlPlane, { machine }: Kubelet, name: string, args: readonly string[]): Service {
  const into = ["--target", String(machine.pid), "--mount", "--pid", "--", "setpriv", "--pdeathsig", "KILL", "--"];
  return startService(plane.scratch, {
    name,
    program: "nsenter",
    args: [...into, holdfast, ...args],
    endBy: "SIGTERM",
    signalsChild: true,
  });
}

/** Of a service inside: what nsenter(1) forked. */
function pidInside({ pid }: Service): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
}

const driverArgs = (kubelet: Kubelet, pool: string): readonly string[] => [
  ...["serve", "--endpoint", `unix://${socketIn(kubelet)}`, "--node-id", kubelet.name],
  ...["--log-format", "json", "--init-pools", "--pool", pool],
];

/** Starts it the first time, and again after. */
function starter(start: () => Service): { readonly start: () => Service; readonly service: () => Service | undefined } {
  let service: Service | undefined;
  return {
    start() {
      if (service) service.start();
      else service = start();
      return service;
    },
    service: () => service,
  };
}

export function oursOnNode(plane: ControlPlane, kubelet: Kubelet, pool: string): Side {
  const config = join(plane.scratch.path, "ours-on-node.yaml");
  writeFileSync(config, JSON.stringify({ kubernetes: { kubeconfig: plane.admin, kubeletDir: kubelet.kubeletDir } }));
  const args = [...driverArgs(kubelet, pool), "--config", config];
  const process = starter(() => plane.watch(startInside(plane, kubelet, "ours", args)));
  return {
    name: "ours",
    async start() {
      process.start();
      await registered(plane, kubelet, true);
    },
    async stop() {
      await process.service()?.stop();
      await registered(plane, kubelet, false);
    },
    pids: () => [process.service()].flatMap((service) => (service ? [pidInside(service)] : [])),
  };
}

/** The registrar is ours on both sides, and left out of both sides' memory. */
export function upstreamOnNode(plane: ControlPlane, kubelet: Kubelet, pool: string): Side {
  const driver = starter(() => plane.watch(startInside(plane, kubelet, "driver", driverArgs(kubelet, pool))));
  const socket = socketIn(kubelet);
  const registering = ["registrar", "--csi-address", `unix://${socket}`, "--kubelet-dir", kubelet.kubeletDir];
  const registrar = starter(() => plane.watch(startInside(plane, kubelet, "registrar", registering)));
  let services: Service[] = [];
  return {
    name: "upstream",
    async start() {
      driver.start();
      registrar.start();
      await registered(plane, kubelet, true);
      if (services.length > 0) for (const service of services) service.start();
      else {
        const outside = kubelet.machine.outside(socket);
        const started = await startUpstream(plane, {
          socket: outside,
          env: upstreamEnv(kubelet.name),
          sidecars,
        });
        services = Object.values(started);
      }
    },
    async stop() {
      await Promise.all(services.map((service) => service.kill()));
      await registrar.service()?.stop();
      await driver.service()?.stop();
      await registered(plane, kubelet, false);
    },
    pids: () => {
      const own = driver.service();
      return own ? [pidInside(own), ...services.map(({ pid }) => pid)] : [];
    },
  };
}

/** Waits until the kubelet has, or has not, the driver in its CSINode. */
async function registered(plane: ControlPlane, { name }: Kubelet, wanted: boolean): Promise<void> {
  await plane.until(`the driver is ${wanted ? "" : "not "}in CSINode ${name}`, async () => {
    const { spec } = await plane.api.get<CSINode>(`/apis/storage.k8s.io/v1/csinodes/${name}`);
    return (spec.drivers ?? []).some((driver) => driver.name === driverName) === wanted || undefined;
  });
}
