import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { type SecretOptions, withSecrets } from "./options.ts";
import { print } from "./output.ts";

export function snapshotDelete(parent: Command): void {
  const command = parent
    .command("delete")
    .summary("delete a snapshot")
    .description("Deletes a snapshot. One that is not there is deleted already.")
    .argument("<id>", "the snapshot's ID");
  withSecrets(command);
  callsDriver<SecretOptions>(command, async ({ client, call }, options, snapshotId = "") => {
    await client.controller.deleteSnapshot({ snapshotId, secrets: options.secretFile ?? {} }, call);
    print(options.output, { deleted: snapshotId }, () => `deleted ${snapshotId}\n`);
  });
}
