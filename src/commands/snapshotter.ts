import { type Command, Option } from "commander";
import { snapshotter as helper, upstreamLeases } from "../kubernetes/helpers.ts";
import { type ClusterOptions, common, runClusterHelper, withCluster } from "./cluster-helper.ts";

interface SnapshotterOptions extends ClusterOptions {
  readonly snapshotNamePrefix: string;
  readonly groupsnapshotNamePrefix: string;
  readonly extraCreateMetadata?: boolean;
}

export function snapshotter(parent: Command): void {
  const command = parent
    .command("snapshotter")
    .summary("cut and delete snapshots, by any CSI driver")
    .description(
      "Cuts and deletes the snapshots of a CSI driver, ours or any other, as VolumeSnapshotContents ask for it. " +
        "The cluster's snapshot-controller makes those.",
    );
  withCluster(command)
    .addOption(
      new Option("--snapshot-name-prefix <word>", "what snapshots are called at the driver").default("snapshot"),
    )
    .addOption(new Option("--groupsnapshot-name-prefix <word>", "and those of groups").default("groupsnapshot"))
    .option("--extra-create-metadata", "tells the driver the names of snapshot and content")
    .action(async () => {
      const options = command.opts<SnapshotterOptions>();
      const asked = {
        ...common(options),
        namePrefix: options.snapshotNamePrefix,
        groupNamePrefix: options.groupsnapshotNamePrefix,
        extraCreateMetadata: options.extraCreateMetadata ?? false,
      };
      await runClusterHelper(command, options, [helper(asked)], upstreamLeases.snapshotter);
    });
}
