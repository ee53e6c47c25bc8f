import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { capabilityOf } from "./messages.ts";
import { type CapabilityOptions, pairOf, type SecretOptions, withCapability, withSecrets } from "./options.ts";
import { print } from "./output.ts";
import { contextOf } from "./volume-context.ts";

interface Options extends CapabilityOptions, SecretOptions {
  readonly param?: Record<string, string>;
  readonly context?: Record<string, string>;
}

export function volumeValidate(parent: Command): void {
  const command = parent
    .command("validate")
    .summary("ask whether a volume can be used in a way")
    .description("Asks whether a volume can be used as the options say. Exit code 1: it can't.")
    .argument("<id>", "the volume's ID")
    .option("--param <key=value>", "a StorageClass parameter; may be repeated", pairOf)
    .option("--context <key=value>", "the volume's context; absent: asked from the driver", pairOf);
  withSecrets(withCapability(command));
  callsDriver<Options>(command, async ({ client, call }, options, volumeId = "") => {
    const answer = await client.controller.validateVolumeCapabilities(
      {
        volumeId,
        volumeCapabilities: [capabilityOf(options)],
        parameters: options.param ?? {},
        volumeContext: options.context ?? (await contextOf(client, volumeId, call)),
        secrets: options.secretFile ?? {},
      },
      call,
    );
    const confirmed = answer.confirmed !== undefined;
    const view = { id: volumeId, confirmed, message: answer.message };
    print(options.output, view, () =>
      confirmed ? "supported\n" : `not supported: ${answer.message || "the driver says no more"}\n`,
    );
    if (!confirmed) process.exitCode = 1;
  });
}
