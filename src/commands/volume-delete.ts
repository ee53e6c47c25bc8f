import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { type SecretOptions, withSecrets } from "./options.ts";
import { print } from "./output.ts";

export function volumeDelete(parent: Command): void {
  const command = parent
    .command("delete")
    .summary("delete a volume")
    .description("Deletes a volume and its data. One that is not there is deleted already.")
    .argument("<id>", "the volume's ID");
  withSecrets(command);
  callsDriver<SecretOptions>(command, async ({ client, call }, options, volumeId = "") => {
    await client.controller.deleteVolume({ volumeId, secrets: options.secretFile ?? {} }, call);
    print(options.output, { deleted: volumeId }, () => `deleted ${volumeId}\n`);
  });
}
