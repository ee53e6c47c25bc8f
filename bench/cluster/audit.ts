/** The API server's audit log: who asked for what when, to the microsecond, on one clock for all sides. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Scratch } from "../../test/support/scratch.ts";

export interface Request {
  readonly agent: string;
  readonly verb: string;
  /** As `persistentvolumes/status`. */
  readonly what: string;
  readonly name: string;
  /** Milliseconds since 1970, with a fraction: when it came, and when it was answered. */
  readonly came: number;
  readonly answered: number;
}

export interface Audit {
  readonly apiServerArgs: readonly string[];
  /** What was answered so far, watches apart, the oldest first. */
  read(): readonly Request[];
}

interface Line {
  readonly userAgent?: string;
  readonly verb: string;
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string; readonly name?: string };
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
}

/** For an API server that starts with these arguments. */
export function openAudit({ path }: Scratch): Audit {
  const policy = join(path, "audit-policy.json");
  const log = join(path, "audit.log");
  writeFileSync(
    policy,
    JSON.stringify({
      apiVersion: "audit.k8s.io/v1",
      kind: "Policy",
      omitStages: ["RequestReceived", "ResponseStarted", "Panic"],
      rules: [{ level: "None", verbs: ["watch"] }, { level: "Metadata" }],
    }),
  );
  return {
    apiServerArgs: [`--audit-policy-file=${policy}`, `--audit-log-path=${log}`],
    read: () =>
      readFileSync(log, "utf8")
        .split("\n")
        .filter((line) => line.endsWith("}"))
        .map((line) => requestOf(JSON.parse(line) as Line))
        .sort((one, other) => one.came - other.came),
  };
}

function requestOf({ userAgent = "", verb, objectRef = {}, ...times }: Line): Request {
  const { resource = "", subresource, name = "" } = objectRef;
  return {
    agent: userAgent,
    verb,
    what: subresource === undefined ? resource : `${resource}/${subresource}`,
    name,
    came: microseconds(times.requestReceivedTimestamp),
    answered: microseconds(times.stageTimestamp),
  };
}

/** Of `2026-11-21T17:00:00.123456Z`, which Date reads only to the millisecond. */
function microseconds(time: string): number {
  const [, seconds = "", fraction = "0"] = /^(.*?)(?:\.(\d+))?Z$/.exec(time) ?? [];
  return Date.parse(`${seconds}Z`) + Number(`0.${fraction}`) * 1000;
}
