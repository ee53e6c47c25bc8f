/**
 * A pool in memory: each volume is a tmpfs of its own, as large as it was asked for and not a byte larger. For scratch
 * space that must be fast and must not touch a disk. The records are on disk as every pool's; the content lasts until
 * the machine starts again, and a volume that lost it says so instead of coming back empty.
 */
import { mkdir } from "node:fs/promises";
import { totalmem } from "node:os";
import { join } from "node:path";
import {
  type Aside,
  type Backend,
  type Limits,
  mountAt,
  mountFilesystem,
  type Opened,
  type Place,
  PlainPool,
  type PoolFeatures,
  type PoolPlace,
  Problem,
  run,
  unmount,
  type Volume,
} from "holdfast/pool";

class MemoryPool extends PlainPool {
  readonly features: PoolFeatures = {
    gives: "directory",
    block: false,
    snapshots: false,
    clones: false,
    expand: true,
    multiNode: false,
    enforcesSize: true,
    minimumSize: 1024 * 1024,
  };
  readonly #flags: readonly string[];

  constructor(place: PoolPlace, limits: Limits, flags: readonly string[]) {
    super(place, limits);
    this.#flags = flags;
  }

  protected measure(): Promise<number> {
    return Promise.resolve(Math.floor(totalmem() / 2));
  }

  protected async build(folder: string): Promise<void> {
    await mkdir(join(folder, "data"));
  }

  async open(volume: Volume): Promise<Opened> {
    const path = this.#data(volume);
    const latch = await this.latch(volume);
    if (!(await mountAt(path))) {
      if (latch.state !== "blank") throw lost(volume);
      const flags = [`size=${volume.size}`, "mode=0755", ...this.#flags];
      await mountFilesystem({ device: "holdfast", fsType: "tmpfs", target: path, flags });
    }
    if (latch.state === "blank") await this.setLatch(volume, { state: "used" });
    return { gives: "directory", path, release: () => undefined };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async opened(volume: Volume): Promise<Place | undefined> {
    const path = this.#data(volume);
    return (await mountAt(path)) ? { gives: "directory", path } : undefined;
  }

  protected async enlarge(volume: Volume, size: number): Promise<void> {
    if (await this.opened(volume)) await run("mount", ["-o", `remount,size=${size}`, this.#data(volume)]);
  }

  protected override async discard(aside: Aside): Promise<void> {
    await unmount(join(aside.path, "data"));
    await super.discard(aside);
  }

  #data(volume: Volume): string {
    return this.volumes.path(volume.key, "data");
  }
}

function lost(volume: Volume): Problem {
  return new Problem("CONTENT_LOST", `the volume '${volume.name}' was in memory, and the machine started again since`, {
    advice: "delete it and make a new one",
  });
}

export const backend: Backend = {
  name: "memory",
  version: 1,
  options: ["size", "overcommit", "reserve", "swap"],
  offers: { snapshots: false, clones: false, expand: true },

  check({ extra }) {
    const swap = extra["swap"] ?? "yes";
    if (swap !== "yes" && swap !== "no") throw new Error(`swap: '${swap}' is neither yes nor no`);
  },

  async open(place, options) {
    if (place.shared)
      throw new Problem("POOL_UNAVAILABLE", `the pool '${place.name}' is in this machine's memory`, {
        advice: "configure it without shared",
      });
    const { overcommit = 1, size, reserve, extra } = options;
    const limits = {
      overcommit,
      ...(size === undefined ? {} : { size }),
      ...(reserve === undefined ? {} : { reserve }),
    };
    const pool = new MemoryPool(place, limits, extra["swap"] === "no" ? ["noswap"] : []);
    await pool.enter();
    return pool;
  },
};
