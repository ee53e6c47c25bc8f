import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { snapshotPairs, snapshotView } from "./messages.ts";
import { pairOf, type SecretOptions, withSecrets } from "./options.ts";
import { pairs, print } from "./output.ts";

interface Options extends SecretOptions {
  readonly volume: string;
  readonly param?: Record<string, string>;
}

export function snapshotCreate(parent: Command): void {
  const command = parent
    .command("create")
    .summary("take a snapshot of a volume")
    .description("Takes a snapshot. Repeated with the same name and volume it answers with the same snapshot.")
    .argument("<name>", "the name: a repeated create finds the snapshot by it")
    .requiredOption("--volume <id>", "the volume's ID")
    .option("--param <key=value>", "a parameter of the snapshot class; may be repeated", pairOf);
  withSecrets(command);
  callsDriver<Options>(command, async ({ client, call }, options, name = "") => {
    const answer = await client.controller.createSnapshot(
      { name, sourceVolumeId: options.volume, parameters: options.param ?? {}, secrets: options.secretFile ?? {} },
      call,
    );
    print(options.output, snapshotView(answer.snapshot), (snapshot) => pairs(snapshotPairs(snapshot)));
  });
}
