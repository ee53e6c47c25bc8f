import type { Command } from "commander";
import { formatSize } from "../config/size.ts";
import { callsDriver } from "./driver-command.ts";
import { type SecretOptions, sizeOf, withSecrets } from "./options.ts";
import { print } from "./output.ts";

interface Options extends SecretOptions {
  readonly size: bigint;
  readonly limit?: bigint;
  readonly path?: string;
  readonly stagingPath?: string;
}

export function volumeExpand(parent: Command): void {
  const command = parent
    .command("expand")
    .summary("make a volume larger")
    .description("Makes a volume larger, and with --path also the file system that is mounted there.")
    .argument("<id>", "the volume's ID")
    .requiredOption("--size <size>", "the least size that it shall have, as 20Gi", sizeOf)
    .option("--limit <size>", "the largest size", sizeOf)
    .option("--path <path>", "where it is published on this node: grow it there too")
    .option("--staging-path <path>", "where it is staged on this node");
  withSecrets(command);
  callsDriver<Options>(command, async ({ client, call }, options, volumeId = "") => {
    const capacityRange = { requiredBytes: options.size, limitBytes: options.limit ?? 0n };
    const secrets = options.secretFile ?? {};
    const grown = await client.controller.controllerExpandVolume({ volumeId, capacityRange, secrets }, call);
    let bytes = grown.capacityBytes;
    let nodePending = grown.nodeExpansionRequired;
    const volumePath = options.path ?? options.stagingPath;
    if (nodePending && volumePath !== undefined) {
      const stagingTargetPath = options.stagingPath ?? "";
      const onNode = await client.node.nodeExpandVolume(
        { volumeId, volumePath, stagingTargetPath, capacityRange, secrets },
        call,
      );
      if (onNode.capacityBytes > 0n) bytes = onNode.capacityBytes;
      nodePending = false;
    }
    print(options.output, { id: volumeId, capacityBytes: Number(bytes), nodeExpansionRequired: nodePending }, () => {
      const rest = "the file system grows when it is staged next, or now: repeat this with --path";
      return `${volumeId} has ${formatSize(Number(bytes))}${nodePending ? `; ${rest}` : ""}\n`;
    });
  });
}
