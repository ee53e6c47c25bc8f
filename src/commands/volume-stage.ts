import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { capabilityOf } from "./messages.ts";
import { type CapabilityOptions, pairOf, type SecretOptions, withCapability, withSecrets } from "./options.ts";
import { print } from "./output.ts";
import { contextOf } from "./volume-context.ts";

interface Options extends CapabilityOptions, SecretOptions {
  readonly stagingPath: string;
  readonly context?: Record<string, string>;
  readonly publishContext?: Record<string, string>;
}

export function volumeStage(parent: Command): void {
  const command = parent
    .command("stage")
    .summary("make a volume ready on this node")
    .description("Makes a volume ready on this node: formats it when it is new, and mounts it at the staging path.")
    .argument("<id>", "the volume's ID")
    .requiredOption("--staging-path <path>", "a folder for it, made when it is missing")
    .option("--context <key=value>", "the volume's context; absent: asked from the driver", pairOf)
    .option("--publish-context <key=value>", "what attach answered; may be repeated", pairOf);
  withSecrets(withCapability(command));
  callsDriver<Options>(command, async ({ client, call }, options, volumeId = "") => {
    const stagingTargetPath = resolve(options.stagingPath);
    mkdirSync(stagingTargetPath, { recursive: true, mode: 0o750 });
    await client.node.nodeStageVolume(
      {
        volumeId,
        stagingTargetPath,
        volumeCapability: capabilityOf(options),
        volumeContext: options.context ?? (await contextOf(client, volumeId, call)),
        publishContext: options.publishContext ?? {},
        secrets: options.secretFile ?? {},
      },
      call,
    );
    print(options.output, { id: volumeId, stagingPath: stagingTargetPath }, () => `staged at ${stagingTargetPath}\n`);
  });
}
