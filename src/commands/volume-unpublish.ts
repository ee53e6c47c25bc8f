import { resolve } from "node:path";
import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { print } from "./output.ts";

export function volumeUnpublish(parent: Command): void {
  const command = parent
    .command("unpublish")
    .summary("undo publish")
    .description("Takes a volume away from a path, and removes the path.")
    .argument("<id>", "the volume's ID")
    .requiredOption("--target-path <path>", "where it was published");
  callsDriver<{ readonly targetPath: string }>(command, async ({ client, call }, options, volumeId = "") => {
    const targetPath = resolve(options.targetPath);
    await client.node.nodeUnpublishVolume({ volumeId, targetPath }, call);
    print(options.output, { id: volumeId, unpublished: targetPath }, () => `unpublished from ${targetPath}\n`);
  });
}
