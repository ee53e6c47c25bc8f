/**
 * What every request must satisfy before the rules see it: CSI's general limits on fields (spec, "Field Requirements")
 * and what JavaScript and Linux add. Each check answers the value in the rules' own terms or throws a Problem that names
 * the field. Values are shortened in messages, and those that may be secret are never shown.
 */
import { posix } from "node:path";
import { Problem } from "../pools/problem.ts";
import type { CapacityRange, Page } from "../volumes/api.ts";

/** Bytes: the spec's limit on a string field; IDs and names are no longer than this. */
const longestString = 128;
/** Bytes of a map, keys and values together. */
const largestMap = 4096;
/** Bytes without the final NUL: PATH_MAX. */
const longestPath = 4095;
const longestNodeId = 256;

export function invalid(field: string, what: string): Problem {
  return new Problem("FIELD_INVALID", `${field} ${what}`);
}

/** A value as a message may show it. */
export function quoted(value: string): string {
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value);
}

function bytes(value: string): number {
  return Buffer.byteLength(value);
}

/** The control characters that CSI forbids in names: all but TAB, LF and CR. */
const forbiddenInName = /(?![\t\n\r])\p{Cc}/u;
const forbiddenInWord = /\p{Cc}/u;

/** The name of a volume or snapshot: any Unicode, `/` and `..` too, for a name is hashed and never a path. */
export function requiredName(field: string, value: string): string {
  if (value === "") throw invalid(field, "is missing");
  if (bytes(value) > longestString)
    throw invalid(field, `has ${bytes(value)} bytes; at most ${longestString} are allowed`);
  if (forbiddenInName.test(value)) throw invalid(field, `${quoted(value)} has a control character in it`);
  return value;
}

/** A short word of the interface, as a file system type; empty: not given. */
export function word(field: string, value: string): string {
  if (bytes(value) > longestString)
    throw invalid(field, `has ${bytes(value)} bytes; at most ${longestString} are allowed`);
  if (forbiddenInWord.test(value)) throw invalid(field, "has a control character in it");
  return value;
}

/** An ID that must be given. What it says is for the rules: see `unknowable`. */
export function requiredId(field: string, value: string): string {
  if (value === "") throw invalid(field, "is missing");
  return value;
}

/** No driver can have issued this ID: too long, or with a control character. It is the ID of nothing. */
export function unknowable(id: string): boolean {
  return bytes(id) > longestString || forbiddenInWord.test(id);
}

/** A volume's ID that must be given and may exist. */
export function volumeId(field: string, value: string): string {
  if (!unknowable(requiredId(field, value))) return value;
  throw new Problem("VOLUME_NOT_FOUND", `there is no volume ${quoted(value)}`);
}

/** A snapshot's ID that must be given and may exist. */
export function snapshotId(field: string, value: string): string {
  if (!unknowable(requiredId(field, value))) return value;
  throw new Problem("SNAPSHOT_NOT_FOUND", `there is no snapshot ${quoted(value)}`);
}

/** A node's ID; empty: not given. */
export function optionalNodeId(field: string, value: string): string {
  if (bytes(value) > longestNodeId)
    throw invalid(field, `has ${bytes(value)} bytes; at most ${longestNodeId} are allowed`);
  if (forbiddenInWord.test(value)) throw invalid(field, `${quoted(value)} has a control character in it`);
  return value;
}

export function requiredNodeId(field: string, value: string): string {
  if (value === "") throw invalid(field, "is missing");
  return optionalNodeId(field, value);
}

/** Opaque pairs, at most 4 KiB in all. Their keys and values are not shown: a context may carry tokens. */
export function map(field: string, value: Readonly<Record<string, string>>): Record<string, string> {
  let size = 0;
  for (const [key, item] of Object.entries(value)) size += bytes(key) + bytes(item);
  if (size > largestMap) throw invalid(field, `has ${size} bytes in all; at most ${largestMap} are allowed`);
  return { ...value };
}

/**
 * A path where something is to be made or unmade: absolute, within the kernel's limit, without NUL or `..`, and not the
 * root. Answers it without doubled and final slashes.
 */
export function requiredPath(field: string, value: string): string {
  if (value === "") throw invalid(field, "is missing");
  const path = lookedUpPath(field, value);
  if (!path.startsWith("/")) throw invalid(field, `${quoted(path)} is not an absolute path`);
  if (path.split("/").includes("..")) throw invalid(field, `${quoted(path)} has '..' in it`);
  const clean = posix.normalize(path).replace(/\/+$/, "");
  if (clean === "") throw invalid(field, "is the root of the file system");
  return clean;
}

/** As `requiredPath`; empty: not given. */
export function optionalPath(field: string, value: string): string {
  return value === "" ? "" : requiredPath(field, value);
}

/**
 * A path at which a volume is looked for: of an unknown volume it may be nonsense, for NOT_FOUND of the volume goes
 * first; so a relative one passes, as it is.
 */
export function lookedUpPath(field: string, value: string): string {
  if (value === "") throw invalid(field, "is missing");
  if (bytes(value) > longestPath) throw invalid(field, `has ${bytes(value)} bytes; at most ${longestPath} are allowed`);
  if (value.includes("\0")) throw invalid(field, "has a NUL in it");
  return value.startsWith("/") && !value.split("/").includes("..") ? cleaned(value) : value;
}

function cleaned(path: string): string {
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean;
}

interface WireRange {
  readonly requiredBytes: bigint;
  readonly limitBytes: bigint;
}

/** Bytes; absent, or both 0: not given. Negative, too large for any disk, and limit below required are out of range. */
export function capacityRange(field: string, range: WireRange | undefined): CapacityRange {
  if (range === undefined) return {};
  const required = size(`${field}.required_bytes`, range.requiredBytes);
  const limit = size(`${field}.limit_bytes`, range.limitBytes);
  if (limit > 0 && limit < required) {
    throw new Problem("SIZE_OUT_OF_RANGE", `${field}.limit_bytes ${limit} is below required_bytes ${required}`);
  }
  return { ...(required > 0 ? { required } : {}), ...(limit > 0 ? { limit } : {}) };
}

/** As `capacityRange`, and one of the two figures must be given. */
export function requiredCapacityRange(field: string, range: WireRange | undefined): CapacityRange {
  const checked = capacityRange(field, range);
  if (checked.required === undefined && checked.limit === undefined) throw invalid(field, "is missing");
  return checked;
}

function size(field: string, value: bigint): number {
  if (value < 0n) throw new Problem("SIZE_OUT_OF_RANGE", `${field} ${value} is negative`);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new Problem(
      "SIZE_OUT_OF_RANGE",
      `${field} ${value} is more than the largest size, ${Number.MAX_SAFE_INTEGER}`,
    );
  }
  return Number(value);
}

/** Which page of a list is wanted. A token of a length that is never issued is unknown. */
export function page(request: { readonly maxEntries: number; readonly startingToken: string }): Page {
  if (request.maxEntries < 0) throw invalid("max_entries", `${request.maxEntries} is negative`);
  if (unknowable(request.startingToken)) {
    throw new Problem("TOKEN_UNKNOWN", `the starting_token ${quoted(request.startingToken)} was never issued`);
  }
  return { max: request.maxEntries, token: request.startingToken };
}

/** Throws FEATURE_ABSENT when no configured pool can do what `rpc` asks for. */
export function need(feature: boolean, rpc: string): void {
  if (!feature) throw new Problem("FEATURE_ABSENT", `${rpc} is not offered: no configured pool can do it`);
}
