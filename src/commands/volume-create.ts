import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { capabilityOf, volumePairs, volumeView } from "./messages.ts";
import {
  type CapabilityOptions,
  listOf,
  pairOf,
  type SecretOptions,
  sizeOf,
  withCapability,
  withSecrets,
} from "./options.ts";
import { pairs, print } from "./output.ts";

interface Options extends CapabilityOptions, SecretOptions {
  readonly size?: bigint;
  readonly limit?: bigint;
  readonly param?: Record<string, string>;
  readonly topology?: readonly string[];
  readonly fromSnapshot?: string;
  readonly fromVolume?: string;
}

export function volumeCreate(parent: Command): void {
  const command = parent
    .command("create")
    .summary("make a volume")
    .description("Makes a volume. Repeated with the same name and options it answers with the same volume.")
    .argument("<name>", "the name: a repeated create finds the volume by it")
    .option("--size <size>", "the least size, as 10Gi", sizeOf)
    .option("--limit <size>", "the largest size", sizeOf)
    .option("--param <key=value>", "a StorageClass parameter; may be repeated", pairOf)
    .option("--from-snapshot <id>", "restore this snapshot")
    .option("--from-volume <id>", "clone this volume")
    .option("--topology <key=value>", "where it has to be reachable; may be repeated, by order of preference", listOf);
  withSecrets(withCapability(command));
  callsDriver<Options>(command, async ({ client, call }, options, name = "") => {
    if (options.fromSnapshot && options.fromVolume)
      command.error("error: --from-snapshot and --from-volume exclude each other");
    const places = (options.topology ?? []).map((place) => ({ segments: pairOf(place) }));
    const answer = await client.controller.createVolume(
      {
        name,
        ...(options.size || options.limit
          ? { capacityRange: { requiredBytes: options.size ?? 0n, limitBytes: options.limit ?? 0n } }
          : {}),
        volumeCapabilities: [capabilityOf(options)],
        parameters: options.param ?? {},
        secrets: options.secretFile ?? {},
        ...(places.length > 0 ? { accessibilityRequirements: { requisite: places, preferred: places } } : {}),
        ...(options.fromSnapshot
          ? { volumeContentSource: { type: { case: "snapshot", value: { snapshotId: options.fromSnapshot } } } }
          : options.fromVolume
            ? { volumeContentSource: { type: { case: "volume", value: { volumeId: options.fromVolume } } } }
            : {}),
      },
      call,
    );
    print(options.output, volumeView(answer.volume), (volume) => pairs(volumePairs(volume)));
  });
}
