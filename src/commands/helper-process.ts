/** The process of one Kubernetes helper beside a driver: its options, its log, its health, and its end. */
import { flushCompileCache } from "node:module";
import { type Command, Option } from "commander";
import { defaultEndpoint } from "../config/load.ts";
import { connect } from "../csi/client.ts";
import { socketPathOf } from "../csi/endpoint.ts";
import { driverChecks } from "../kubernetes/driver-checks.ts";
import type { Check } from "../observe/health.ts";
import { parseHealthPort } from "../observe/health-port.ts";
import { createLog, type Log, type LogFormat, type LogLevel, logFormats, logLevels } from "../observe/log.ts";
import { serveHealth } from "./health.ts";
import { reader } from "./options.ts";
import { endOnSurprise, stopOnSignal } from "./stop-on-signal.ts";

export interface HelperOptions {
  readonly csiAddress: string;
  readonly healthPort?: ReturnType<typeof parseHealthPort>;
  readonly logLevel: LogLevel;
  readonly logFormat?: LogFormat;
}

/** Where a helper works: it goes on until the signal, whatever fails. */
export interface HelperPlace {
  readonly csiAddress: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export interface RunningHelper {
  /** Undefined: it does its work. Else what it waits for. */
  waitsFor(): string | undefined;
  /** Resolves when it has ended after the signal. */
  readonly ended: Promise<void>;
}

/** The options that every helper has. */
export function withHelper(command: Command): Command {
  return command
    .addOption(
      new Option("--csi-address <address>", "the socket of the driver").env("CSI_ENDPOINT").default(defaultEndpoint()),
    )
    .addOption(
      new Option(
        "--health-port <port>",
        "serves /healthz, /livez and /readyz, as 9808 or 127.0.0.1:9808; absent: nothing is served",
      ).argParser(reader(parseHealthPort)),
    )
    .addOption(new Option("--log-level <level>", "the least level that is logged").choices(logLevels).default("info"))
    .addOption(new Option("--log-format <format>", "absent: pretty on a terminal, else json").choices(logFormats));
}

/** Starts the helper and returns; the process ends at SIGTERM or SIGINT. Throws what makes a start impossible. */
export async function runHelper(
  name: string,
  options: HelperOptions,
  start: (place: HelperPlace) => RunningHelper | Promise<RunningHelper>,
): Promise<void> {
  socketPathOf(options.csiAddress);
  const format = options.logFormat ?? (process.stderr.isTTY ? "pretty" : "json");
  const log = createLog({ level: options.logLevel, format });
  endOnSurprise(log);
  const stop = new AbortController();
  const helper = await start({ csiAddress: options.csiAddress, log, signal: stop.signal });
  const client = connect(options.csiAddress);
  const driver = driverChecks(client);
  const itself: Check = { name, run: () => helper.waitsFor() };
  const checks = { healthz: [driver.ready], livez: [], readyz: [driver.ready, itself] };
  if (options.healthPort) void serveHealth(options.healthPort, checks, log, stop.signal);
  // A killed process keeps nothing: what was compiled so far is written now.
  flushCompileCache();
  log.info({ helper: name, csiAddress: options.csiAddress }, "the helper runs");
  stopOnSignal(log, async (signal) => {
    log.info({ signal, helper: name }, "stopping");
    stop.abort();
    await helper.ended;
    client.close();
  });
}
