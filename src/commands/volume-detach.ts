import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import { ConfigError } from "../config/config-error.ts";
import type { Config } from "../config/schema.ts";
import { createLog } from "../observe/log.ts";
import { callsDriver } from "./driver-command.ts";
import { type SecretOptions, withSecrets } from "./options.ts";
import { print } from "./output.ts";
import { configOf, withPools } from "./pool-flags.ts";

interface Options extends SecretOptions {
  readonly node?: string;
  readonly force?: boolean;
  readonly unfenced?: boolean;
}

export function volumeDetach(parent: Command): void {
  const command = parent
    .command("detach")
    .summary("detach a volume from a node")
    .description(
      "Detaches a volume from a node (ControllerUnpublishVolume), or without --node from every node. " +
        "With --force, and the pools of --config or --pool, it ends the attachment although the node never closed the volume: " +
        "only when that node is gone for ever. Should it live, what it still writes is lost.",
    )
    .argument("<id>", "the volume's ID")
    .option("--node <id>", "the node's ID")
    .option("--force", "the operator's word that the node is gone; works on the pool itself, not through a driver")
    .option("--unfenced", "with --force: also a directory, which can't be taken from a node that still runs");
  withSecrets(withPools(command));
  callsDriver<Options>(command, async ({ client, call }, options, volumeId = "") => {
    if (options.force) {
      if (options.node !== undefined) throw new ConfigError("--force: detaches from every node; leave --node out");
      const config = await configOf(command);
      if (config === undefined)
        throw new ConfigError("--force: works on the pool itself; name it with --config FILE, or --pool");
      const nodes = await force(
        config,
        volumeId,
        call.signal ?? new AbortController().signal,
        options.unfenced ?? false,
      );
      const told = nodes.length === 0 ? "it was attached to no node\n" : `detached by force from ${nodes.join(", ")}\n`;
      print(options.output, { id: volumeId, detachedFrom: nodes }, () => told);
      return;
    }
    const nodeId = options.node ?? "";
    await client.controller.controllerUnpublishVolume({ volumeId, nodeId, secrets: options.secretFile ?? {} }, call);
    const from = nodeId === "" ? "every node" : nodeId;
    print(
      options.output,
      { id: volumeId, detachedFrom: nodeId === "" ? [] : [nodeId] },
      () => `detached from ${from}\n`,
    );
  });
}

async function force(config: Config, id: string, signal: AbortSignal, unfenced: boolean): Promise<readonly string[]> {
  const { openDriver } = await import("../volumes/driver.ts");
  const log = createLog({ level: "warn", format: "pretty" });
  const driver = await openDriver({ ...config, initPools: false, visitor: true, log });
  try {
    return await driver.forceDetach(id, { rpc: "ForceDetach", signal, requestId: randomUUID() }, { unfenced });
  } finally {
    await driver.stop(0);
  }
}
