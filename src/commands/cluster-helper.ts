/** What the commands of the helpers that speak to the API server have in common. */
import { type Command, Option } from "commander";
import type { Helper } from "../kubernetes/run-helpers.ts";
import { type HelperOptions, runHelper, withHelper } from "./helper-process.ts";
import { countOf, durationOf } from "./options.ts";
import { version } from "./version.ts";

export interface ClusterOptions extends HelperOptions {
  readonly kubeconfig?: string;
  readonly leaderElection?: boolean;
  readonly leaderElectionNamespace?: string;
  readonly nodeDeployment?: boolean;
  readonly nodeId?: string;
  /** Milliseconds. */
  readonly timeout?: number;
  readonly workers?: number;
}

/** The options that they all have. */
export function withCluster(command: Command): Command {
  return withHelper(command)
    .option("--kubeconfig <file>", "where the API server is; absent: KUBECONFIG, else the pod's own account")
    .addOption(
      new Option(
        "--leader-election",
        "works while it holds a Lease, the one that the upstream helper of this kind would hold",
      ).conflicts("nodeDeployment"),
    )
    .option("--leader-election-namespace <name>", "where the Lease is; absent: the pod's namespace, else default")
    .option("--node-deployment", "one on each node: acts only for the volumes of this node, and never leads")
    .addOption(
      new Option("--node-id <name>", "with --node-deployment: the name of this node's Node object").env(
        "KUBE_NODE_NAME",
      ),
    )
    .addOption(new Option("--timeout <duration>", "how long a call of the driver may take").argParser(durationOf))
    .addOption(new Option("--workers <count>", "how many objects at once").argParser(countOf));
}

/** What the helper's own options have of these. */
export function common(options: ClusterOptions): { readonly timeoutMs?: number; readonly workers?: number } {
  return {
    ...(options.timeout === undefined ? {} : { timeoutMs: options.timeout }),
    ...(options.workers === undefined ? {} : { workers: options.workers }),
  };
}

/** Starts the helper, and what belongs to it, beside the driver; the process ends at SIGTERM or SIGINT. */
export async function runClusterHelper(
  command: Command,
  options: ClusterOptions,
  helpers: readonly [Helper, ...Helper[]],
  lease: (driver: string) => string,
): Promise<void> {
  const { kubeconfig, nodeDeployment, nodeId, leaderElection, leaderElectionNamespace: namespace } = options;
  if (nodeDeployment && nodeId === undefined) {
    command.error("error: option '--node-deployment' needs '--node-id <name>', or KUBE_NODE_NAME in the environment");
  }
  const [{ startHelpers }, { findCluster }] = await Promise.all([
    import("../kubernetes/run-helpers.ts"),
    import("../kubernetes/api/cluster.ts"),
  ]);
  // A wrong kubeconfig is a mistake of the command line; what becomes wrong later is waited for.
  findCluster(kubeconfig);
  const [{ name }] = helpers;
  await runHelper(name, options, ({ csiAddress, log, signal }) => {
    const running = startHelpers({
      log,
      signal,
      beside: { csiAddress, helpers, ...(nodeDeployment && nodeId !== undefined ? { node: nodeId } : {}) },
      userAgent: `holdfast-${name}/${version()}`,
      ...(kubeconfig === undefined ? {} : { cluster: kubeconfig }),
      ...(leaderElection ? { lease: { name: lease, ...(namespace === undefined ? {} : { namespace }) } } : {}),
    });
    const waitsFor = () => helpers.map((each) => running.waitsFor(each.name)).find((why) => why !== undefined);
    return { waitsFor, ended: running.ended };
  });
}
