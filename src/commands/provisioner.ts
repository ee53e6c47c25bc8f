import type { Command } from "commander";
import { capacity, provisioner as helper, upstreamLeases } from "../kubernetes/helpers.ts";
import { type ClusterOptions, common, runClusterHelper, withCluster } from "./cluster-helper.ts";
import { absolutePathOf } from "./options.ts";

interface ProvisionerOptions extends ClusterOptions {
  readonly intents?: string;
  readonly defaultFstype?: string;
  readonly strictTopology?: boolean;
  readonly immediateTopology: boolean;
  readonly extraCreateMetadata?: boolean;
  readonly controllerPublishReadonly?: boolean;
  readonly allowModeChange?: boolean;
  readonly enableCapacity?: boolean;
}

export function provisioner(parent: Command): void {
  const command = parent
    .command("provisioner")
    .summary("make and delete the volumes of claims, by any CSI driver")
    .description(
      "Makes volumes for the claims of a CSI driver, ours or any other, and deletes them when they are released.",
    );
  withCluster(command)
    .option(
      "--intents <folder>",
      "keeps what was begun here, so that a crash leaks nothing; absent: only remembered",
      absolutePathOf,
    )
    .option("--default-fstype <type>", "for classes that name no file system; absent: the driver's choice")
    .option("--strict-topology", "asks for the selected node's segment alone")
    .option("--no-immediate-topology", "names no topology for claims that wait for no pod")
    .option("--extra-create-metadata", "tells the driver the names of claim and volume")
    .option("--controller-publish-readonly", "publishes a volume that can only be read so")
    .option("--allow-mode-change", "a restore may change between block and file system without the content's consent")
    .option("--enable-capacity", "publishes what the driver has left, for the scheduler, in the namespace of the Lease")
    .action(async () => {
      const options = command.opts<ProvisionerOptions>();
      const asked = {
        ...common(options),
        ...(options.intents === undefined ? {} : { intentsFolder: options.intents }),
        ...(options.defaultFstype === undefined ? {} : { defaultFsType: options.defaultFstype }),
        strictTopology: options.strictTopology ?? false,
        immediateTopology: options.immediateTopology,
        extraCreateMetadata: options.extraCreateMetadata ?? false,
        publishReadonly: options.controllerPublishReadonly ?? false,
        allowModeChange: options.allowModeChange ?? false,
      };
      const namespace = options.leaderElectionNamespace;
      const told = options.enableCapacity ? [capacity(namespace === undefined ? {} : { namespace })] : [];
      await runClusterHelper(command, options, [helper(asked), ...told], upstreamLeases.provisioner);
    });
}
