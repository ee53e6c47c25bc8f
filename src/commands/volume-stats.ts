import { resolve } from "node:path";
import type { Command } from "commander";
import { formatSize } from "../config/size.ts";
import { VolumeUsage_Unit as Unit } from "../csi/gen/csi_pb.ts";
import { callsDriver } from "./driver-command.ts";
import { enumName } from "./messages.ts";
import { print, table } from "./output.ts";

interface Options {
  readonly path: string;
  readonly stagingPath?: string;
}

export function volumeStats(parent: Command): void {
  const command = parent
    .command("stats")
    .summary("show how full a volume is")
    .description("Shows how many bytes and inodes of a volume are used.")
    .argument("<id>", "the volume's ID")
    .requiredOption("--path <path>", "where it is published or staged on this node")
    .option("--staging-path <path>", "where it is staged");
  callsDriver<Options>(command, async ({ client, call }, options, volumeId = "") => {
    const stagingTargetPath = options.stagingPath === undefined ? "" : resolve(options.stagingPath);
    const asked = { volumeId, volumePath: resolve(options.path), stagingTargetPath };
    const usage = (await client.node.nodeGetVolumeStats(asked, call)).usage.map((one) => ({
      unit: enumName(Unit, one.unit),
      total: Number(one.total),
      used: Number(one.used),
      available: Number(one.available),
    }));
    print(options.output, { id: volumeId, usage }, () =>
      table(
        ["UNIT", "TOTAL", "USED", "AVAILABLE"],
        usage.map((one) => {
          const text = (value: number) => (one.unit === "BYTES" ? formatSize(value) : String(value));
          return [one.unit, text(one.total), text(one.used), text(one.available)];
        }),
      ),
    );
  });
}
