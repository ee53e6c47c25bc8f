/** The helpers by name. The code of each is loaded when it is begun: a process has only what it runs. */
import type { AttacherOptions } from "./attacher/index.ts";
import type { CapacityOptions } from "./capacity/index.ts";
import type { ProvisionerOptions } from "./provisioner/index.ts";
import type { ResizerOptions } from "./resizer/index.ts";
import type { ClusterHelper, Helper } from "./run-helpers.ts";
import type { SnapshotterOptions } from "./snapshotter/context.ts";

export const provisioner = (options: ProvisionerOptions = {}): Helper => ({
  name: "provisioner",
  run: async (context) => (await import("./provisioner/index.ts")).runProvisioner(context, options),
});

export const attacher = (options: AttacherOptions = {}): Helper => ({
  name: "attacher",
  run: async (context) => (await import("./attacher/index.ts")).runAttacher(context, options),
});

export const resizer = (options: ResizerOptions = {}): Helper => ({
  name: "resizer",
  run: async (context) => (await import("./resizer/index.ts")).runResizer(context, options),
});

export const snapshotter = (options: SnapshotterOptions = {}): Helper => ({
  name: "snapshotter",
  run: async (context) => (await import("./snapshotter/index.ts")).runSnapshotter(context, options),
});

export const capacity = (options: CapacityOptions = {}): Helper => ({
  name: "capacity",
  run: async (context) => (await import("./capacity/index.ts")).runCapacity(context, options),
});

/** For the nodes of a driver with local pools: what needs more power than one of them has. */
export const clusterRoles = (driverName: string): readonly ClusterHelper[] => [
  {
    name: "cluster-roles",
    run: async (context) => (await import("./cluster-roles/index.ts")).runClusterRoles({ ...context, driverName }),
  },
  {
    name: "content-labeller",
    run: async (context) => {
      const { runContentLabeller } = await import("./cluster-roles/label-contents.ts");
      await runContentLabeller({ ...context, driverName });
    },
  },
];

/** The cluster's own, whatever driver: for clusters that have none. */
export const snapshotController: ClusterHelper = {
  name: "snapshot-controller",
  run: async (context) => (await import("./snapshot-controller/index.ts")).runSnapshotController(context),
};

/** The Lease of the controller's role, one for all of its helpers: who holds it serves the whole driver. */
export const leaseName = (driver: string): string => `${sanitized(driver)}-controller`;

/**
 * The names of the Leases that the upstream helpers hold (csi-lib-utils, leaderelection): with the same ones, one of theirs and
 * one of ours never work at the same time while a cluster goes from the one to the other.
 */
export const upstreamLeases = {
  provisioner: (driver: string) => sanitized(driver),
  attacher: (driver: string) => sanitized(`external-attacher-leader-${driver}`),
  resizer: (driver: string) => sanitized(`external-resizer-${driver}`),
  snapshotter: (driver: string) => sanitized(`external-snapshotter-leader-${driver}`),
} as const;

function sanitized(name: string): string {
  const clean = name.replace(/[^a-zA-Z0-9-]/g, "-");
  return clean.endsWith("-") ? `${clean}X` : clean;
}
