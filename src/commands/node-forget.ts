import type { Command } from "commander";
import type { Belongings } from "../kubernetes/nodes/belongings.ts";
import { type ClusterOptions, inCluster, sure, withCluster } from "./cluster-command.ts";
import { table } from "./output.ts";

interface Options extends ClusterOptions {
  readonly claims?: boolean;
  readonly dryRun?: boolean;
}

export function nodeForget(parent: Command): void {
  const command = parent
    .command("forget")
    .summary("gives up the volumes of a node that is gone for ever")
    .description(
      "Deletes the volumes and snapshot contents of a node that is gone for ever with its disks, whose own driver would have " +
        "to do it, and takes their finalizers away. Lists them and asks first; refuses while the node is Ready. The data is not touched: should the disks " +
        "come back, it is still there, but nothing in the cluster names it. May be repeated.",
    )
    .argument("<node>", "the node's name")
    .option("--claims", "also deletes the claims and snapshots that were bound to them, so that new ones can be made")
    .option("--dry-run", "only lists");
  withCluster(command).action(async (node: string, options: Options) => {
    await inCluster(options, async (api) => {
      const { belongingsOf, refuseLiving } = await import("../kubernetes/nodes/belongings.ts");
      const { forget } = await import("../kubernetes/nodes/forget.ts");
      await refuseLiving(api, node);
      const found = await belongingsOf(api, options.driverName, node);
      process.stdout.write(listOf(found));
      const count = found.volumes.length + found.contents.length;
      if (count === 0 || options.dryRun) return;
      if (!(await sure(options, `Give up these ${count} volumes and snapshots of ${node} for ever?`))) return;
      await forget(api, found, options.claims ?? false, (what) => process.stdout.write(`deleted ${what}\n`));
      const left = found.claims.length;
      if (left > 0 && !options.claims) {
        process.stdout.write(`${left} claims are left without a volume: delete them, or repeat this with --claims\n`);
      }
    });
  });
}

/** What is there, a line each. */
export function listOf({ volumes, claims, contents }: Belongings): string {
  if (volumes.length + contents.length === 0) return "nothing in the cluster is on this node's disks\n";
  const bound = new Set(claims.map(({ metadata }) => metadata?.uid));
  const rows = [
    ...volumes.map(({ metadata, spec, status }) => {
      const claim = spec?.claimRef;
      const claimed = claim === undefined ? "-" : `${claim.namespace}/${claim.name}`;
      const note = claim !== undefined && !bound.has(claim.uid) ? " (gone)" : "";
      return [
        "PersistentVolume",
        metadata?.name ?? "",
        `${claimed}${note}`,
        spec?.capacity?.["storage"] ?? "-",
        status?.phase ?? "-",
      ];
    }),
    ...contents.map(({ metadata, spec, status }) => {
      const { namespace, name } = spec.volumeSnapshotRef;
      const ready = status?.readyToUse === true ? "ready" : "not ready";
      return [
        "VolumeSnapshotContent",
        metadata?.name ?? "",
        `${namespace}/${name}`,
        String(status?.restoreSize ?? "-"),
        ready,
      ];
    }),
  ];
  return table(["KIND", "NAME", "OF", "SIZE", "STATE"], rows);
}
