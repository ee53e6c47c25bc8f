import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { formatSize } from "../config/size.ts";
import { filesystemSpace, reflinks } from "../host/copies.ts";
import { listMounts, mountOf } from "../host/mount-table.ts";
import { type Marker, readMarker } from "../pools/marker.ts";
import { pairs, print } from "./output.ts";

export function poolShow(parent: Command): void {
  parent
    .command("show")
    .summary("show what a folder is as a pool")
    .description("Shows a pool's marker and the file system that it lies on.")
    .argument("<path>", "the pool's folder")
    .addOption(new Option("--output <format>", "how to print").choices(["table", "json"]).default("table"))
    .action(async (path: string, options: { readonly output: "table" | "json" }) => {
      const folder = resolve(path);
      const marker = await readMarker(folder);
      const fileSystem = mountOf(folder, await listMounts())?.fsType ?? "unknown";
      const { total, available } = await filesystemSpace(folder);
      const reflink = await reflinks(folder);
      const view = {
        path: folder,
        ...marker,
        fileSystem,
        reflinks: reflink,
        totalBytes: total,
        availableBytes: available,
      };
      print(options.output, view, () =>
        pairs([
          ...poolPairs(folder, marker),
          [
            "file system",
            `${fileSystem}, ${reflink ? "snapshots and clones share blocks" : "no reflinks: snapshots and clones are copies"}`,
          ],
          ["free", `${formatSize(available)} of ${formatSize(total)}`],
        ]),
      );
    });
}

export function poolPairs(folder: string, marker: Marker): [string, string][] {
  return [
    ["path", folder],
    ["uuid", marker.uuid],
    ["backend", marker.backend],
    ["kind", marker.shared ? "shared: every node" : `local to ${marker.nodes.join(", ")}`],
    ["made", new Date(marker.created).toISOString()],
  ];
}
