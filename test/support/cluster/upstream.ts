/** The upstream sidecars, as processes beside a driver's socket. */
import { join } from "node:path";
import type { Scratch } from "../scratch.ts";
import { binaries, type ControlPlane } from "./control-plane.ts";
import { installDefinitions } from "./objects.ts";
import { type Service, startService } from "./service.ts";

/** The custom resource definitions of the snapshotter that `need_sidecars` built. */
export const snapshotDefinitions = join(binaries, "../crd");

const programs = {
  provisioner: "csi-provisioner",
  attacher: "csi-attacher",
  resizer: "csi-resizer",
  snapshotter: "csi-snapshotter",
  snapshotController: "snapshot-controller",
} as const;

export type Sidecar = keyof typeof programs;

export interface UpstreamOptions {
  /** Which run, each with arguments of its own on top of its defaults. */
  readonly sidecars: Readonly<Partial<Record<Sidecar, readonly string[]>>>;
  /** The driver's socket. */
  readonly socket: string;
  /** Absent: the administrator's. */
  readonly kubeconfig?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Goes before the name of each, so that the sets of two drivers differ in the log's folder. */
  readonly prefix?: string;
}

/** Starts those that are asked for; snapshotter and snapshotController bring the definitions into the cluster first. */
export async function startUpstream(
  plane: ControlPlane,
  options: UpstreamOptions,
  scratch: Scratch = plane.scratch,
): Promise<Partial<Record<Sidecar, Service>>> {
  if (options.sidecars.snapshotter || options.sidecars.snapshotController) {
    await installDefinitions(plane, snapshotDefinitions);
  }
  const kubeconfig = `--kubeconfig=${options.kubeconfig ?? plane.admin}`;
  const services: Partial<Record<Sidecar, Service>> = {};
  for (const sidecar of Object.keys(programs) as Sidecar[]) {
    const args = options.sidecars[sidecar];
    if (args === undefined) continue;
    const socket = sidecar === "snapshotController" ? [] : [`--csi-address=${options.socket}`];
    services[sidecar] = plane.watch(
      startService(scratch, {
        name: `${options.prefix ?? ""}${programs[sidecar]}`,
        program: join(binaries, programs[sidecar]),
        // They end when they lose the driver, and count on being started again.
        restarts: true,
        args: [kubeconfig, ...socket, ...args],
        ...(options.env ? { env: options.env } : {}),
      }),
    );
  }
  return services;
}
