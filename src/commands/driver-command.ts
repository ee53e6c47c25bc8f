/** What the commands that call a driver have in common: the options, the connection and how an error is told. */
import type { Command } from "commander";
import { defaultEndpoint } from "../config/load.ts";
import { type CallOptions, type CsiClient, connect } from "../csi/client.ts";
import { type DriverOptions, withDriver } from "./options.ts";

export interface Session {
  readonly client: CsiClient;
  readonly call: CallOptions;
}

/** Adds the options of every such command to `command`, and runs it with a connection that is closed in the end. */
export function callsDriver<O>(
  command: Command,
  run: (session: Session, options: O & DriverOptions, ...args: string[]) => Promise<void>,
): void {
  withDriver(command, defaultEndpoint()).action(async (...given: unknown[]) => {
    const options = command.opts<O & DriverOptions>();
    const client = connect(options.csiAddress);
    const stop = new AbortController();
    const interrupt = () => stop.abort();
    process.once("SIGINT", interrupt);
    try {
      const args = given.slice(0, -2).map((arg) => (typeof arg === "string" ? arg : ""));
      await run({ client, call: { timeoutMs: options.timeout, signal: stop.signal } }, options, ...args);
    } finally {
      process.off("SIGINT", interrupt);
      client.close();
    }
  });
}
