import type { Command } from "commander";
import { resizer as helper, upstreamLeases } from "../kubernetes/helpers.ts";
import { type ClusterOptions, common, runClusterHelper, withCluster } from "./cluster-helper.ts";

export function resizer(parent: Command): void {
  const command = parent
    .command("resizer")
    .summary("grow volumes, by any CSI driver")
    .description("Grows the volumes of a CSI driver, ours or any other, as their claims ask for it.");
  withCluster(command).action(async () => {
    const options = command.opts<ClusterOptions>();
    await runClusterHelper(command, options, [helper(common(options))], upstreamLeases.resizer);
  });
}
