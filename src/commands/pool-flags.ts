/** The options of commands that work on the pools themselves, beside or without a driver. */
import { type Command, Option } from "commander";
import { type Flags, loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { listOf } from "./options.ts";
import { poolFlags } from "./serve-flags.ts";

interface PoolOptions {
  readonly config?: string;
  readonly pool?: string[];
  readonly driverName?: string;
  readonly nodeId?: string;
}

export function withPools(command: Command): Command {
  for (const [name, flag] of Object.entries<{ value: string; repeated?: boolean; text: string }>(poolFlags)) {
    const option = new Option(`--${name} <${flag.value}>`, flag.text);
    command.addOption(flag.repeated ? option.argParser(listOf) : option);
  }
  return command;
}

/** The configuration that those options name; undefined when they name no pool. Throws ConfigError. */
export async function configOf(command: Command): Promise<Config | undefined> {
  const given = command.opts<PoolOptions>();
  if (given.config === undefined && given.pool === undefined) return undefined;
  const flags: Flags = {
    config: given.config,
    pool: given.pool,
    "driver-name": given.driverName,
    "node-id": given.nodeId,
  };
  return loadConfig(flags);
}
