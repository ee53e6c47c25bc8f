/** The helpers in the driver's own process: which of them run in each role, how they are asked for their health, how they end. */
import { join } from "node:path";
import type { Check } from "../observe/health.ts";
import type { Log } from "../observe/log.ts";
import {
  attacher,
  capacity,
  clusterRoles,
  leaseName,
  provisioner,
  resizer,
  snapshotController,
  snapshotter,
} from "./helpers.ts";
import { startRegistrar } from "./registrar/registrar.ts";
import { type ClusterHelper, type Helper, startHelpers } from "./run-helpers.ts";

export interface ComposeOptions {
  /** `node`: on each node, beside the kubelet. `controller`: once in the cluster. */
  readonly role: "node" | "controller";
  /** The driver's socket; absent: this process has no driver, only the cluster to look after. */
  readonly csiAddress?: string;
  readonly driverName: string;
  readonly kubeletDir: string;
  /** The driver's socket as the kubelet sees its path; absent: as in `csiAddress`. */
  readonly registrationPath?: string;
  /** Absent: KUBECONFIG, else the pod's own account. */
  readonly kubeconfig?: string;
  /** Where Leases and capacities are; absent: the pod's namespace. */
  readonly namespace?: string;
  /** Whether what the pools have left is published for the scheduler. */
  readonly capacity: boolean;
  /** Whether the controller's role is also the cluster's snapshot-controller. */
  readonly snapshotController: boolean;
  /** The Node object's name. */
  readonly node: string;
  /** Whether the driver's pools are shared: then its controller acts for all of them; else each node for its own. */
  readonly shared: boolean;
  /** Where is kept what was begun, over a crash. */
  readonly stateFolder: string;
  readonly userAgent: string;
  readonly log: Log;
}

export interface Composition {
  /** One for each part: undefined where it does its work, else what it waits for. */
  readonly ready: readonly Check[];
  /** Nothing new begins, what runs may end for `withinMs` milliseconds. The kubelet and the Lease are told. Never throws. */
  stop(withinMs: number): Promise<void>;
}

/** Those that speak to the driver of this process. */
export function helpersOf({
  role,
  shared,
  stateFolder,
  capacity: told,
  namespace,
}: Pick<ComposeOptions, "role" | "shared" | "stateFolder" | "capacity" | "namespace">): readonly Helper[] {
  const intentsFolder = join(stateFolder, "intents");
  if (role === "controller") return [provisioner({ intentsFolder }), attacher(), resizer(), snapshotter()];
  if (shared) return [];
  const published = told ? [capacity(namespace === undefined ? {} : { namespace })] : [];
  return [provisioner({ intentsFolder, labelVolumes: true }), resizer(), snapshotter(), ...published];
}

/** Those that look after the cluster. */
function clusterHelpersOf(options: ComposeOptions): readonly ClusterHelper[] {
  if (options.role === "node") return [];
  return [
    ...(options.shared ? [] : clusterRoles(options.driverName)),
    ...(options.snapshotController ? [snapshotController] : []),
  ];
}

/** Begins them, and returns at once. They never end by themselves, and what fails in them harms the driver as little as it can. */
export function compose(options: ComposeOptions): Composition {
  const { role, csiAddress, log } = options;
  const stop = new AbortController();
  const parts: { readonly ready: Check; readonly ended: Promise<void> }[] = [];
  if (role === "node" && csiAddress !== undefined) {
    const registrar = startRegistrar({
      csiAddress,
      ...(options.registrationPath === undefined ? {} : { kubeletRegistrationPath: options.registrationPath }),
      registryFolder: join(options.kubeletDir, "plugins_registry"),
      log,
      signal: stop.signal,
    });
    parts.push({ ready: { name: "registrar", run: () => registrar.waitsFor() }, ended: registrar.ended });
  }
  const helpers = csiAddress === undefined ? [] : helpersOf(options);
  const others = clusterHelpersOf(options);
  if (helpers.length + others.length > 0) {
    const { node, namespace, kubeconfig, userAgent, driverName } = options;
    const lease = { name: leaseName, ...(namespace === undefined ? {} : { namespace }) };
    const running = startHelpers({
      ...(csiAddress === undefined ? {} : { beside: { csiAddress, helpers, ...(role === "node" ? { node } : {}) } }),
      alone: { driverName, helpers: others },
      userAgent,
      log,
      signal: stop.signal,
      ...(kubeconfig === undefined ? {} : { cluster: kubeconfig }),
      ...(role === "controller" ? { lease } : {}),
    });
    for (const { name } of [...helpers, ...others]) {
      parts.push({ ready: { name, run: () => running.waitsFor(name) }, ended: running.ended });
    }
  }
  return {
    ready: parts.map(({ ready }) => ready),
    stop: async (withinMs) => {
      stop.abort();
      const late = Promise.withResolvers<"late">();
      const timer = setTimeout(() => late.resolve("late"), withinMs);
      const all = Promise.all(parts.map(({ ended }) => ended));
      if ((await Promise.race([all, late.promise])) === "late") {
        log.warn({ withinMs }, "the helpers did not end in time; the next start finishes what they left");
      }
      clearTimeout(timer);
    },
  };
}
