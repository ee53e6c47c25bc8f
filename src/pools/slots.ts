/**
 * The configured pools. One whose disk is not there does not stop the others: its slot stays closed, says why, and is
 * tried again with the next call.
 */
import { stat } from "../host/fs.ts";
import { flockStaysLocal } from "../host/locks.ts";
import { inShare, Share } from "../host/share.ts";
import { type Backend, isBackend, lacks, type Options } from "./backend.ts";
import { initPool, readMarker } from "./marker.ts";
import type { Pool, PoolFeatures } from "./pool.ts";
import { Problem } from "./problem.ts";

export interface PoolConfig {
  readonly name: string;
  /** `image`, `directory`, or the absolute path of a module that exports a `backend`. */
  readonly backend: string;
  /** Absolute. */
  readonly path: string;
  readonly shared: boolean;
  readonly options: Options;
}

/** The wrong word in the configuration: the start stops with it. Names the pool and the key. */
export class PoolConfigError extends Error {
  constructor(pool: string, what: string) {
    super(`pool '${pool}': ${what}`);
    this.name = "PoolConfigError";
  }
}

export async function loadBackend(config: PoolConfig): Promise<Backend> {
  const loaded = await load(config);
  const allowed = new Set(loaded.options);
  for (const [key, value] of Object.entries(config.options)) {
    if (key !== "extra" && value !== undefined && !allowed.has(key)) throw unknownOption(config, loaded, key);
  }
  for (const key of Object.keys(config.options.extra)) {
    if (!allowed.has(key)) throw unknownOption(config, loaded, key);
  }
  try {
    loaded.check(config.options);
  } catch (error) {
    throw new PoolConfigError(config.name, error instanceof Error ? error.message : String(error));
  }
  return loaded;
}

async function load(config: PoolConfig): Promise<Backend> {
  if (config.backend === "image") return (await import("./image/backend.ts")).backend;
  if (config.backend === "directory") return (await import("./directory/backend.ts")).backend;
  if (!config.backend.startsWith("/")) {
    throw new PoolConfigError(
      config.name,
      `backend: '${config.backend}' is none of image, directory or a module's absolute path`,
    );
  }
  let module: unknown;
  try {
    module = await import(config.backend);
  } catch (error) {
    throw new PoolConfigError(config.name, `backend: ${config.backend} can't be loaded: ${String(error)}`);
  }
  const exported = (module as Readonly<Record<string, unknown>>)["backend"];
  if (isBackend(exported)) return exported;
  throw new PoolConfigError(
    config.name,
    `backend: ${config.backend} exports no 'backend' for this version of the interface`,
  );
}

function unknownOption(config: PoolConfig, backend: Backend, key: string): PoolConfigError {
  return new PoolConfigError(
    config.name,
    `${key}: the backend ${backend.name} knows only ${backend.options.join(", ")}`,
  );
}

export class PoolSlot {
  readonly config: PoolConfig;
  /** Of the threads: what works on this pool runs in it. */
  readonly share = new Share();
  readonly #backend: Backend;
  readonly #node: string;
  readonly #maxVolumes: number;
  readonly #visitor: boolean;
  #opened: Promise<Pool> | undefined;
  #current: Pool | undefined;
  #whenOpened: ((pool: Pool) => void) | undefined;
  #nodes: readonly string[] = [];

  constructor(config: PoolConfig, backend: Backend, node: string, maxVolumes: number, visitor = false) {
    this.config = config;
    this.#backend = backend;
    this.#node = node;
    this.#maxVolumes = maxVolumes;
    this.#visitor = visitor;
  }

  /** Makes the folder a pool first; for scratch use. */
  async init(): Promise<void> {
    const { path: folder, shared } = this.config;
    await initPool({ folder, backend: this.#backend.name, shared, node: this.#node });
  }

  /** Called once with the pool: now, or when its disk is there. */
  whenOpened(tell: (pool: Pool) => void): void {
    if (this.#current) tell(this.#current);
    else this.#whenOpened = tell;
  }

  /** The pool if it was ever opened. */
  get current(): Pool | undefined {
    return this.#current;
  }

  /** What the pool offers, or what its backend does wherever it lies; undefined: not known yet. */
  get offers(): Pick<PoolFeatures, "snapshots" | "clones" | "expand"> | undefined {
    return this.#current?.features ?? this.#backend.offers;
  }

  /** The node names that the pool's IDs may carry. */
  get nodes(): readonly string[] {
    return this.#nodes;
  }

  /** Throws POOL_UNAVAILABLE, POOL_NEWER, RECORD_DAMAGED; called again it tries again. */
  async pool(): Promise<Pool> {
    if (this.#current) return this.#current;
    this.#opened ??= inShare(this.share, () => this.#open()).finally(() => {
      this.#opened = undefined;
    });
    const opened = await this.#opened;
    // Of several that waited for it, one.
    if (!this.#current) {
      this.#current = opened;
      this.#whenOpened?.(opened);
    }
    return this.#current;
  }

  async #open(): Promise<Pool> {
    const { name, path, shared } = this.config;
    const marker = await readMarker(path);
    this.#nodes = marker.nodes;
    if (marker.backend !== this.#backend.name || marker.shared !== shared) {
      const is = `${marker.shared ? "shared" : "local"}, backend ${marker.backend}`;
      throw new Problem(
        "POOL_UNAVAILABLE",
        `${path} is another kind of pool (${is}) than the configuration says of '${name}'`,
      );
    }
    if (!shared && !marker.nodes.includes(this.#node)) {
      const nodes = marker.nodes.join(", ");
      throw new Problem("POOL_UNAVAILABLE", `${path} is a pool of the node ${nodes} and this node is ${this.#node}`, {
        advice: "start with that --node-id, or serve another folder",
      });
    }
    const local = shared ? await flockStaysLocal(path) : undefined;
    if (local !== undefined) {
      throw new Problem("POOL_UNAVAILABLE", `locks in the shared pool '${name}' stay on this node: ${local}`, {
        advice: "mount it so that flock reaches the server",
      });
    }
    const opened = await this.#backend.open(
      {
        name,
        folder: path,
        uuid: marker.uuid,
        shared,
        node: this.#node,
        maxVolumes: this.#maxVolumes,
        visitor: this.#visitor,
      },
      this.config.options,
    );
    const missing = lacks(opened);
    if (missing !== undefined)
      throw new Problem("POOL_UNAVAILABLE", `the backend of the pool '${name}' is not whole: ${missing}`);
    return opened;
  }
}

/** Two pools on one file system, neither with a size, would each promise all of it. Also refuses a missing folder. */
export async function checkTogether(configs: readonly PoolConfig[]): Promise<void> {
  const seen = new Map<number, PoolConfig>();
  for (const config of configs) {
    const stats = await stat(config.path).catch(() => undefined);
    if (!stats?.isDirectory()) {
      throw new PoolConfigError(
        config.name,
        `path: the folder ${config.path} is not there; make it, or mount its disk`,
      );
    }
    const other = seen.get(stats.dev);
    if (other && (config.options.size === undefined || other.options.size === undefined)) {
      const sizeless = config.options.size === undefined ? config : other;
      const neighbour = sizeless === config ? other : config;
      throw new PoolConfigError(
        sizeless.name,
        `size: needed, for the pool '${neighbour.name}' is on the same file system`,
      );
    }
    seen.set(stats.dev, config);
  }
}
