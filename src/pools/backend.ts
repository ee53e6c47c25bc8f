/**
 * What a module exports to be a backend: `export const backend: Backend`. The built-in ones are `image` and `directory`;
 * others are named in the configuration by a path to their module.
 */
import type { PoolPlace } from "./folder-pool.ts";
import type { Pool, PoolFeatures } from "./pool.ts";

export interface Backend {
  /** As markers and messages call it. */
  readonly name: string;
  /** The interface's version that it was written for. */
  readonly version: 1;
  /** Keys of `options` that it knows; any other is an error of the configuration, named with its key. */
  readonly options: readonly string[];
  /**
   * What its pools offer wherever they lie: orchestrators read a driver's capabilities once, also while a pool's disk is
   * missing. Absent: such a pool counts as offering nothing until the next start.
   */
  readonly offers?: Pick<PoolFeatures, "snapshots" | "clones" | "expand">;
  /** Throws an error that names the option and says what is wrong with it. Nothing is written before `open`. */
  check(options: Options): void;
  /** The folder is there and has its marker. Throws POOL_UNAVAILABLE if it can't be used now; it is tried again later. */
  open(place: PoolPlace, options: Options): Promise<Pool>;
}

/** As the configuration has them. Sizes are bytes and durations milliseconds already for the keys that all pools have. */
export interface Options {
  readonly size?: number;
  readonly overcommit?: number;
  readonly reserve?: number;
  readonly thick?: boolean;
  readonly maxFreeze?: number;
  /** What a backend of your own adds, as text. */
  readonly extra: Readonly<Record<string, string>>;
}

const methods = [
  "create find list remove grow capacity snapshot findSnapshot listSnapshots removeSnapshot",
  "open close opened inUse latch setLatch rework resizeOpened recover unavailable stop lockPath",
]
  .join(" ")
  .split(" ");

/** Undefined: it looks like a pool. Else what it lacks: a module that was loaded from outside is checked before it is used. */
export function lacks(pool: unknown): string | undefined {
  if (typeof pool !== "object" || pool === null) return "its open() gave no object";
  const candidate = pool as Readonly<Record<string, unknown>>;
  const missing = methods.filter((name) => typeof candidate[name] !== "function");
  if (missing.length > 0) return `its pool has no method ${missing.join(", ")}`;
  if (typeof candidate["features"] !== "object" || candidate["features"] === null) return "its pool has no features";
  return undefined;
}

export function isBackend(value: unknown): value is Backend {
  if (typeof value !== "object" || value === null) return false;
  const candidate = value as Readonly<Record<string, unknown>>;
  return (
    typeof candidate["name"] === "string" &&
    candidate["version"] === 1 &&
    Array.isArray(candidate["options"]) &&
    typeof candidate["check"] === "function" &&
    typeof candidate["open"] === "function"
  );
}
