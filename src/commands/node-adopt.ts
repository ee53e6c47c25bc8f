import { resolve } from "node:path";
import type { Command } from "commander";
import { ConfigError } from "../config/config-error.ts";
import { type ClusterOptions, inCluster, sure, withCluster } from "./cluster-command.ts";
import { listOf } from "./node-forget.ts";
import { listOf as collect } from "./options.ts";

interface Options extends ClusterOptions {
  readonly pool?: readonly string[];
  readonly from?: string;
  readonly save?: string;
}

export function nodeAdopt(parent: Command): void {
  const command = parent
    .command("adopt")
    .summary("gives a renamed or reinstalled node its pools and volumes back")
    .description(
      "For a node that came back under another name with its disks. With --pool, on the node: lets the pool be served under the new " +
        "name. With --from, with an administrator's credentials, anywhere: makes the node's volumes anew in the cluster with the new name, for the same " +
        "claims, and gives it the snapshot contents. Do the first, then the second; scale down what uses the volumes before. May be repeated.",
    )
    .argument("<node>", "the new name")
    .option("--pool <path>", "a pool's folder on this machine; may be repeated", collect)
    .option("--from <node>", "the old name; it must not be Ready")
    .option(
      "--save <folder>",
      "keeps each volume's object while it is made anew; absent: ./holdfast-adopt-<from>-<node>",
    );
  withCluster(command).action(async (node: string, options: Options) => {
    const { from, pool = [] } = options;
    if (from === undefined && pool.length === 0) throw new ConfigError("--pool or --from: say what is to be adopted");
    if (from === node) throw new ConfigError(`--from: ${node} is the new name already`);
    const { adoptNode } = await import("../pools/marker.ts");
    for (const path of pool) {
      const marker = await adoptNode(resolve(path), node);
      process.stdout.write(`${resolve(path)} is served by ${marker.nodes.join(", ")}: restart the driver here\n`);
    }
    if (from === undefined) return;
    await inCluster(options, async (api) => {
      const { belongingsOf, refuseLiving } = await import("../kubernetes/nodes/belongings.ts");
      const { adopt } = await import("../kubernetes/nodes/adopt.ts");
      await refuseLiving(api, from);
      process.stdout.write(listOf(await belongingsOf(api, options.driverName, from)));
      if (!(await sure(options, `Give these to node ${node}?`))) return;
      const folder = resolve(options.save ?? `holdfast-adopt-${from}-${node}`);
      const adoption = { driver: options.driverName, from, to: node, folder };
      await adopt(api, adoption, (what) => process.stdout.write(`${what} is on ${node} now\n`));
    });
  });
}
