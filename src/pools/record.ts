/**
 * The records in a pool's folder: JSON with a format version, so that a later release can read what this one wrote and
 * an older one refuses what it can't.
 */
import { lstatSync } from "node:fs";
import { NotPlainFile, readPlain, readPlainNow } from "../host/files.ts";
import { Problem } from "./problem.ts";

/** What this release writes. It reads every version up to this one. */
export const recordVersion = 1;

export type Fields = Readonly<Record<string, unknown>>;

export function encodeRecord(fields: object): string {
  return `${JSON.stringify({ version: recordVersion, ...fields })}\n`;
}

/** Throws RECORD_DAMAGED naming the file, or POOL_NEWER for a version that this release does not know. */
export function decodeRecord(text: string, path: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw damaged(path, "it is not JSON", error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw damaged(path, "it is not an object");
  const fields = value as Fields;
  const version = fields["version"];
  if (typeof version !== "number" || !Number.isInteger(version) || version < 1)
    throw damaged(path, "it has no version");
  if (version > recordVersion) {
    throw new Problem(
      "POOL_NEWER",
      `${path} has format version ${version} and this holdfast knows up to ${recordVersion}`,
    );
  }
  return fields;
}

export function damaged(path: string, why: string, cause?: unknown): Problem {
  return new Problem(
    "RECORD_DAMAGED",
    `the record ${path} can't be used: ${why}`,
    cause === undefined ? {} : { cause },
  );
}

/** One record that can't be read must not stop the pool; its own calls say what is wrong with it. */
export function unlessUnreadable(error: unknown): undefined {
  if (error instanceof Problem && (error.code === "RECORD_DAMAGED" || error.code === "POOL_NEWER")) return undefined;
  throw error;
}

/** Bytes: far more than any record has, for one that lists the many targets of a volume too. */
const longestRecord = 4 * 1024 * 1024;

/** The text of a record's file, or undefined where there is none. RECORD_DAMAGED where anything but a file stands. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readPlain(path, longestRecord);
  } catch (error) {
    return unlessMissing(path, error);
  }
}

function unlessMissing(path: string, error: unknown): undefined {
  if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
  throw error instanceof NotPlainFile ? damaged(path, `it ${error.why}`, error) : error;
}

/** Milliseconds for which the kernel surely keeps in memory what was looked at. */
const recentMs = 1000;
const recentLimit = 4096;
const recent = new Map<string, number>();

/** Says that this path was read, written or found missing just now, so that another look at it asks no disk. */
export function noteRecent(path: string): void {
  recent.delete(path);
  recent.set(path, performance.now());
  if (recent.size <= recentLimit) return;
  const oldest = recent.keys().next().value;
  if (oldest !== undefined) recent.delete(oldest);
}

export function isRecent(path: string): boolean {
  const at = recent.get(path);
  return at !== undefined && performance.now() - at < recentMs;
}

/**
 * As `readIfThere`, of a local file system: what was looked at a moment ago is read on this thread, where a turn of the
 * threads would cost more than the read. Everything else may have to wait for a disk, and a disk may hang.
 */
export async function readLocal(path: string): Promise<string | undefined> {
  const text = isRecent(path) ? readNow(path) : await readIfThere(path);
  noteRecent(path);
  return text;
}

function readNow(path: string): string | undefined {
  try {
    // Where it is not there, an error would cost more than this look.
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
    return readPlainNow(path, longestRecord);
  } catch (error) {
    return unlessMissing(path, error);
  }
}

export function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

/** Typed access to the fields of one record; each getter throws RECORD_DAMAGED naming the file and the field. */
export class RecordReader {
  readonly #fields: Fields;
  readonly #path: string;

  constructor(fields: Fields, path: string) {
    this.#fields = fields;
    this.#path = path;
  }

  static parse(text: string, path: string): RecordReader {
    return new RecordReader(decodeRecord(text, path), path);
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined;
  }

  text(name: string, pattern?: RegExp): string {
    const value = this.#fields[name];
    if (typeof value !== "string" || (pattern && !pattern.test(value))) throw this.#bad(name, "a text of its form");
    return value;
  }

  /** Bytes, counts, times: a non-negative safe integer. */
  count(name: string): number {
    const value = this.#fields[name];
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw this.#bad(name, "a whole number");
    return value;
  }

  flag(name: string): boolean {
    const value = this.#fields[name];
    if (typeof value !== "boolean") throw this.#bad(name, "true or false");
    return value;
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const value = this.#fields[name];
    const found = values.find((each) => each === value);
    if (found === undefined) throw this.#bad(name, `one of ${values.join(", ")}`);
    return found;
  }

  texts(name: string): string[] {
    const value = this.#fields[name];
    if (!Array.isArray(value) || !value.every((each) => typeof each === "string"))
      throw this.#bad(name, "a list of texts");
    return value;
  }

  textMap(name: string): Record<string, string> {
    const value = this.#fields[name];
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw this.#bad(name, "a map of texts");
    for (const each of Object.values(value)) if (typeof each !== "string") throw this.#bad(name, "a map of texts");
    return value as Record<string, string>;
  }

  child(name: string): RecordReader | undefined {
    const value = this.#fields[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== "object" || Array.isArray(value)) throw this.#bad(name, "an object");
    return new RecordReader(value as Fields, `${this.#path} (${name})`);
  }

  /** As `child`, of one that must be there. */
  within(name: string): RecordReader {
    const child = this.child(name);
    if (!child) throw this.#bad(name, "an object");
    return child;
  }

  children(name: string): RecordReader[] {
    const value = this.#fields[name];
    if (!Array.isArray(value)) throw this.#bad(name, "a list");
    return value.map((each, n) => {
      if (typeof each !== "object" || each === null || Array.isArray(each)) throw this.#bad(name, "a list of objects");
      return new RecordReader(each as Fields, `${this.#path} (${name} ${n})`);
    });
  }

  #bad(name: string, wanted: string): Problem {
    return damaged(this.#path, `its field '${name}' is not ${wanted}`);
  }
}
