import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { type SnapshotView, sizeText, snapshotView } from "./messages.ts";
import { countOf } from "./options.ts";
import { print, table } from "./output.ts";

interface Options {
  readonly max?: number;
  readonly volume?: string;
  readonly id?: string;
}

const pageSize = 500;

export function snapshotList(parent: Command): void {
  const command = parent
    .command("list")
    .summary("list the snapshots")
    .description("Lists the snapshots that the driver knows.")
    .option("--volume <id>", "only those of this volume")
    .option("--id <id>", "only this one")
    .option("--max <count>", "stop after this many", countOf);
  callsDriver<Options>(command, async ({ client, call }, options) => {
    const snapshots: SnapshotView[] = [];
    const filter = { sourceVolumeId: options.volume ?? "", snapshotId: options.id ?? "" };
    const left = () => (options.max === undefined ? pageSize : Math.min(pageSize, options.max - snapshots.length));
    let startingToken = "";
    do {
      const page = await client.controller.listSnapshots({ ...filter, maxEntries: left(), startingToken }, call);
      for (const entry of page.entries) snapshots.push(snapshotView(entry.snapshot));
      startingToken = page.nextToken;
    } while (startingToken !== "" && left() > 0);
    print(options.output, snapshots, (list) =>
      table(
        ["ID", "SIZE", "CREATED", "READY", "VOLUME"],
        list.map((one) => [
          one.id,
          sizeText(one.sizeBytes),
          one.created || "-",
          one.ready ? "yes" : "no",
          one.sourceVolumeId,
        ]),
      ),
    );
  });
}
