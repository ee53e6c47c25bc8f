/** The log: one line an event, for people (`pretty`) or for machines (`json`). */
import pino from "pino";
import { prettyLine } from "./pretty.ts";

/** `fields` are the particulars, in the order in which they are to be read; never a secret, never a whole request. */
export interface Log {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];
export const logFormats = ["pretty", "json"] as const;
export type LogFormat = (typeof logFormats)[number];

/** Where lines go. Must not throw. */
export interface LogDestination {
  write(line: string): unknown;
}

/**
 * A log on `destination` (absent: stderr, written synchronously, so that the last lines before a crash are there).
 * Below `level` nothing is formatted. `color` concerns `pretty` only; absent: as stderr is a terminal or not.
 */
export function createLog(options: {
  readonly level: LogLevel;
  readonly format: LogFormat;
  readonly destination?: LogDestination;
  readonly color?: boolean;
}): Log {
  const target = options.destination ?? pino.destination({ dest: 2, sync: true });
  const color = options.color ?? (options.destination === undefined && process.stderr.isTTY === true);
  const stream =
    options.format === "json"
      ? target
      : { write: (line: string) => target.write(prettyLine(JSON.parse(line) as Record<string, unknown>, color)) };
  return pino(
    {
      level: options.level,
      // Neither the process nor the host: whoever collects the lines knows both.
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: errorFields },
    },
    stream as pino.DestinationStream,
  );
}

/** A `Problem` was thrown on purpose and says all in its message; of anything else the stack is needed. */
function errorFields(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const fields = pino.stdSerializers.err(error);
  return error.name === "Problem" ? { type: fields.type, message: fields.message } : fields;
}
