import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { volumePairs, volumeView } from "./messages.ts";
import { pairs, print } from "./output.ts";

export function volumeShow(parent: Command): void {
  const command = parent
    .command("show")
    .summary("show one volume")
    .description("Shows one volume: its size, source, topology and the nodes that hold it.")
    .argument("<id>", "the volume's ID");
  callsDriver(command, async ({ client, call }, options, volumeId = "") => {
    const answer = await client.controller.controllerGetVolume({ volumeId }, call);
    const nodes = [...(answer.status?.publishedNodeIds ?? [])];
    print(options.output, volumeView(answer.volume, nodes), (volume) => pairs(volumePairs(volume)));
  });
}
