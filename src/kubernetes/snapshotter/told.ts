/** The log's lines of a snapshot's story, and what a failure leaves on the object. */
import { CsiError } from "../../csi/client.ts";
import type { Log } from "../../observe/log.ts";
import type { VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { explain, mayStillRun } from "../outcome.ts";

/** What each line about a content carries. */
export const subjectOf = ({ metadata, spec, status }: VolumeSnapshotContent): object => ({
  snapshot: `${spec.volumeSnapshotRef.namespace}/${spec.volumeSnapshotRef.name}`,
  content: metadata?.name,
  ...(spec.source.volumeHandle !== undefined
    ? { volume: spec.source.volumeHandle }
    : { handle: status?.snapshotHandle ?? spec.source.snapshotHandle }),
});

/** Runs an RPC; its line is `done`, with what `particulars` finds in the answer, or that the driver has not done it. */
export async function told<T>(
  log: Log,
  subject: object,
  rpc: string,
  done: string,
  call: () => Promise<T>,
  particulars: (answer: T) => object = () => ({}),
): Promise<T> {
  const began = performance.now();
  const ms = () => Math.round((performance.now() - began) * 10) / 10;
  try {
    const answer = await call();
    log.info({ ...subject, rpc, ms: ms(), ...particulars(answer) }, done);
    return answer;
  } catch (error) {
    const code = error instanceof CsiError ? error.code : undefined;
    const fields = { ...subject, rpc, ms: ms(), code, final: !mayStillRun(error), why: explain(error) };
    log.warn(fields, "the driver has not done it");
    throw error;
  }
}

/** CSI's time in nanoseconds since 1970; absent: now, for a content without a time would wait for one for ever. */
export function nanosecondsOf(time: { readonly seconds: bigint; readonly nanos: number } | undefined): bigint {
  if (time === undefined) return BigInt(Date.now()) * 1_000_000n;
  return time.seconds * 1_000_000_000n + BigInt(time.nanos);
}

declare global {
  interface JSON {
    /** Text that `stringify` writes as it is (ECMAScript proposal "JSON.parse source text access"; V8 has it). */
    rawJSON(text: string): number;
  }
}

/** An integer that JSON.stringify writes with all its digits: nanoseconds don't fit into a number. */
export const exactly = (value: bigint): number => JSON.rawJSON(value.toString());
