/** What the commands of an administrator share: the cluster, the driver's name, and being sure. */
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { ConfigError } from "../config/config-error.ts";
import type { ApiClient } from "../kubernetes/api/client.ts";
import { version } from "./version.ts";

export interface ClusterOptions {
  readonly kubeconfig?: string;
  readonly driverName: string;
  readonly yes?: boolean;
}

export function withCluster(command: Command): Command {
  return command
    .option("--kubeconfig <file>", "whose credentials to use; absent: KUBECONFIG, else the pod's")
    .option("--driver-name <name>", "whose volumes", "local.csi.holdfast")
    .option("--yes", "does not ask");
}

/** A client with the administrator's credentials, for as long as `work` runs. */
export async function inCluster<T>(options: ClusterOptions, work: (api: ApiClient) => Promise<T>): Promise<T> {
  const { ClusterError, findCluster } = await import("../kubernetes/api/cluster.ts");
  const { openClient } = await import("../kubernetes/api/client.ts");
  let api: ApiClient;
  try {
    api = openClient(findCluster(options.kubeconfig), `holdfast/${version()}`);
  } catch (error) {
    if (error instanceof ClusterError) throw new ConfigError(error.message);
    throw error;
  }
  try {
    return await work(api);
  } finally {
    api.close();
  }
}

/** Whether the person in front of the terminal says yes; without one, --yes must say it. */
export async function sure(options: ClusterOptions, question: string): Promise<boolean> {
  if (options.yes) return true;
  if (!process.stdin.isTTY) throw new ConfigError("--yes: nobody can be asked here; look at the list, then give --yes");
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}
