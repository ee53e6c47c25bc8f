import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { capabilityOf } from "./messages.ts";
import { type CapabilityOptions, pairOf, type SecretOptions, withCapability, withSecrets } from "./options.ts";
import { mapText, print } from "./output.ts";
import { contextOf } from "./volume-context.ts";

interface Options extends CapabilityOptions, SecretOptions {
  readonly node: string;
  readonly readonly?: boolean;
  readonly context?: Record<string, string>;
}

export function volumeAttach(parent: Command): void {
  const command = parent
    .command("attach")
    .summary("attach a volume to a node")
    .description(
      "Attaches a volume to a node (ControllerPublishVolume), for drivers that attach: Holdfast's shared pools.",
    )
    .argument("<id>", "the volume's ID")
    .requiredOption("--node <id>", "the node's ID")
    .option("--readonly", "for reading only")
    .option("--context <key=value>", "the volume's context; absent: asked from the driver", pairOf);
  withSecrets(withCapability(command));
  callsDriver<Options>(command, async ({ client, call }, options, volumeId = "") => {
    const answer = await client.controller.controllerPublishVolume(
      {
        volumeId,
        nodeId: options.node,
        volumeCapability: capabilityOf(options),
        readonly: options.readonly ?? false,
        volumeContext: options.context ?? (await contextOf(client, volumeId, call)),
        secrets: options.secretFile ?? {},
      },
      call,
    );
    const publishContext = { ...answer.publishContext };
    print(options.output, { id: volumeId, node: options.node, publishContext }, () => {
      return `attached to ${options.node}; publish context: ${mapText(publishContext)}\n`;
    });
  });
}
