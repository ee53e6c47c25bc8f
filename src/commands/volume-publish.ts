import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { capabilityOf } from "./messages.ts";
import { type CapabilityOptions, pairOf, type SecretOptions, withCapability, withSecrets } from "./options.ts";
import { print } from "./output.ts";
import { contextOf } from "./volume-context.ts";

interface Options extends CapabilityOptions, SecretOptions {
  readonly targetPath: string;
  readonly stagingPath?: string;
  readonly readonly?: boolean;
  readonly context?: Record<string, string>;
  readonly publishContext?: Record<string, string>;
}

export function volumePublish(parent: Command): void {
  const command = parent
    .command("publish")
    .summary("show a staged volume at a path")
    .description("Shows a staged volume at a path: its files in a folder, or with --block its device as a file.")
    .argument("<id>", "the volume's ID")
    .requiredOption("--target-path <path>", "where; its folder is made when it is missing")
    .option("--staging-path <path>", "where it is staged")
    .option("--readonly", "for reading only")
    .option("--context <key=value>", "the volume's context; absent: asked from the driver", pairOf)
    .option("--publish-context <key=value>", "what attach answered; may be repeated", pairOf);
  withSecrets(withCapability(command));
  callsDriver<Options>(command, async ({ client, call }, options, volumeId = "") => {
    const targetPath = resolve(options.targetPath);
    mkdirSync(dirname(targetPath), { recursive: true, mode: 0o750 });
    await client.node.nodePublishVolume(
      {
        volumeId,
        targetPath,
        stagingTargetPath: options.stagingPath === undefined ? "" : resolve(options.stagingPath),
        volumeCapability: capabilityOf(options),
        readonly: options.readonly ?? false,
        volumeContext: options.context ?? (await contextOf(client, volumeId, call)),
        publishContext: options.publishContext ?? {},
        secrets: options.secretFile ?? {},
      },
      call,
    );
    print(options.output, { id: volumeId, targetPath }, () => `published at ${targetPath}\n`);
  });
}
