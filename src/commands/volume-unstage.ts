import { resolve } from "node:path";
import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { print } from "./output.ts";

export function volumeUnstage(parent: Command): void {
  const command = parent
    .command("unstage")
    .summary("undo stage")
    .description("Takes a volume off this node. The folder of the staging path stays.")
    .argument("<id>", "the volume's ID")
    .requiredOption("--staging-path <path>", "where it was staged");
  callsDriver<{ readonly stagingPath: string }>(command, async ({ client, call }, options, volumeId = "") => {
    const stagingTargetPath = resolve(options.stagingPath);
    await client.node.nodeUnstageVolume({ volumeId, stagingTargetPath }, call);
    print(options.output, { id: volumeId, unstaged: stagingTargetPath }, () => `unstaged from ${stagingTargetPath}\n`);
  });
}
