import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { sizeText, type VolumeView, volumeView } from "./messages.ts";
import { countOf } from "./options.ts";
import { print, table } from "./output.ts";

const pageSize = 500;

export function volumeList(parent: Command): void {
  const command = parent
    .command("list")
    .summary("list the volumes")
    .description("Lists the volumes that the driver knows.")
    .option("--max <count>", "stop after this many", countOf);
  callsDriver<{ readonly max?: number }>(command, async ({ client, call }, options) => {
    const volumes: VolumeView[] = [];
    const left = () => (options.max === undefined ? pageSize : Math.min(pageSize, options.max - volumes.length));
    let startingToken = "";
    do {
      const page = await client.controller.listVolumes({ maxEntries: left(), startingToken }, call);
      for (const entry of page.entries)
        volumes.push(volumeView(entry.volume, [...(entry.status?.publishedNodeIds ?? [])]));
      startingToken = page.nextToken;
    } while (startingToken !== "" && left() > 0);
    print(options.output, volumes, (list) =>
      table(
        ["ID", "SIZE", "NODES", "SOURCE"],
        list.map((one) => [one.id, sizeText(one.capacityBytes), one.nodes.join(",") || "-", one.source ?? "-"]),
      ),
    );
  });
}
