import { type Command, Option } from "commander";
import { attacher as helper, upstreamLeases } from "../kubernetes/helpers.ts";
import { type ClusterOptions, common, runClusterHelper, withCluster } from "./cluster-helper.ts";
import { durationOf } from "./options.ts";

interface AttacherOptions extends ClusterOptions {
  /** Milliseconds. */
  readonly reconcileSync: number;
}

export function attacher(parent: Command): void {
  const command = parent
    .command("attacher")
    .summary("attach volumes to nodes and detach them, by any CSI driver")
    .description(
      "Does what VolumeAttachments of a CSI driver, ours or any other, ask for, and compares them with what it says.",
    );
  withCluster(command)
    .addOption(
      new Option("--reconcile-sync <duration>", "how often they are compared")
        .argParser(durationOf)
        .default(60_000, "1m"),
    )
    .action(async () => {
      const options = command.opts<AttacherOptions>();
      const asked = { ...common(options), compareMs: options.reconcileSync };
      await runClusterHelper(command, options, [helper(asked)], upstreamLeases.attacher);
    });
}
