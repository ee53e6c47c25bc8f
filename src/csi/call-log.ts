/** The line that a call leaves in the log: what it was about, how it ended, and how long it took. Never its content. */
import type { Message } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import type { Log } from "../observe/log.ts";
import type { Call } from "../volumes/api.ts";

/** The fields of requests that say what a call is about, and their names in the log. Nothing else of a request is shown. */
const subjects: readonly (readonly [field: string, shown: string])[] = [
  ["name", "name"],
  ["volumeId", "volume"],
  ["sourceVolumeId", "volume"],
  ["snapshotId", "snapshot"],
  ["nodeId", "node"],
];

/** Asked every few seconds by those who watch, and by a kubelet before each of its calls: what went well is no news. */
const questions: ReadonlySet<string> = new Set([
  "Probe",
  "GetPluginInfo",
  "GetPluginCapabilities",
  "ControllerGetCapabilities",
  "NodeGetCapabilities",
]);

const longestSubject = 160;

export interface Failure {
  readonly code: status;
  /** What the caller reads; never empty. */
  readonly message: string;
  readonly problem: string;
  /** Only where nobody expected it: for the log, not for the caller. */
  readonly error?: unknown;
}

export function logCall(
  log: Log,
  call: Call,
  ms: number,
  request: Message | undefined,
  answer: Message | undefined,
  failure: Failure | undefined,
): void {
  const entry = {
    rpc: call.rpc,
    ...subjectsOf(request),
    ...(failure === undefined ? madeBy(answer) : {}),
    ms: Math.round(ms * 10) / 10,
    code: failure === undefined ? "OK" : status[failure.code],
    requestId: call.requestId,
    ...(failure === undefined ? {} : { problem: failure.problem, message: failure.message }),
  };
  if (failure === undefined && questions.has(call.rpc)) log.debug(entry, "call");
  else if (failure === undefined) log.info(entry, "call");
  else if (failure.error !== undefined) log.error({ ...entry, error: failure.error }, "call");
  else if (failure.code === status.INTERNAL || failure.code === status.DATA_LOSS) log.error(entry, "call");
  else log.warn(entry, "call");
}

function subjectsOf(request: Message | undefined): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [field, shown] of subjects) {
    const value: unknown = request?.[field as keyof Message];
    if (typeof value === "string" && value !== "") found[shown] = value.slice(0, longestSubject);
  }
  return found;
}

/** The ID of what a create made: later calls name only that. */
function madeBy(answer: Message | undefined): Record<string, string> {
  if (answer === undefined) return {};
  const { volume, snapshot } = answer as { volume?: { volumeId?: string }; snapshot?: { snapshotId?: string } };
  return {
    ...(volume?.volumeId === undefined ? {} : { volume: volume.volumeId }),
    ...(snapshot?.snapshotId === undefined ? {} : { snapshot: snapshot.snapshotId }),
  };
}
