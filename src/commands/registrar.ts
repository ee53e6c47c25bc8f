import { join } from "node:path";
import { type Command, Option } from "commander";
import { startRegistrar } from "../kubernetes/registrar/registrar.ts";
import { type HelperOptions, runHelper, withHelper } from "./helper-process.ts";
import { absolutePathOf } from "./options.ts";

interface RegistrarOptions extends HelperOptions {
  readonly kubeletDir: string;
  readonly kubeletRegistrationPath?: string;
  readonly pluginRegistrationPath?: string;
}

export function registrar(parent: Command): void {
  const command = parent
    .command("registrar")
    .summary("make any CSI driver known to the kubelet")
    .description(
      "Makes a CSI driver, ours or any other, known to the kubelet of this node, until SIGTERM or SIGINT. A registration " +
        "that fails is tried again.",
    );
  withHelper(command)
    .addOption(
      new Option(
        "--kubelet-registration-path <path>",
        "the driver's socket as the kubelet sees its path; absent: as in --csi-address",
      ).argParser(absolutePathOf),
    )
    .addOption(
      new Option("--kubelet-dir <folder>", "the kubelet's folder, as this process sees it")
        .argParser(absolutePathOf)
        .default("/var/lib/kubelet"),
    )
    .addOption(
      new Option(
        "--plugin-registration-path <folder>",
        "where the registration socket is made; absent: plugins_registry in --kubelet-dir",
      ).argParser(absolutePathOf),
    )
    .action(async () => {
      const options = command.opts<RegistrarOptions>();
      const { kubeletRegistrationPath } = options;
      const registryFolder = options.pluginRegistrationPath ?? join(options.kubeletDir, "plugins_registry");
      await runHelper("registrar", options, (place) =>
        startRegistrar({
          ...place,
          registryFolder,
          ...(kubeletRegistrationPath === undefined ? {} : { kubeletRegistrationPath }),
        }),
      );
    });
}
