import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { type SecretOptions, withSecrets } from "./options.ts";
import { print } from "./output.ts";

interface Options extends SecretOptions {
  readonly node?: string;
}

export function volumeDetach(parent: Command): void {
  const command = parent
    .command("detach")
    .summary("detach a volume from a node")
    .description("Detaches a volume from a node (ControllerUnpublishVolume), or without --node from every node.")
    .argument("<id>", "the volume's ID")
    .option("--node <id>", "the node's ID");
  withSecrets(command);
  callsDriver<Options>(command, async ({ client, call }, options, volumeId = "") => {
    const nodeId = options.node ?? "";
    await client.controller.controllerUnpublishVolume({ volumeId, nodeId, secrets: options.secretFile ?? {} }, call);
    const from = nodeId === "" ? "every node" : nodeId;
    print(options.output, { id: volumeId, detachedFrom: from }, () => `detached from ${from}\n`);
  });
}
