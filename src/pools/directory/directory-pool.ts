/**
 * The directory backend: each volume is a plain folder that is bind-mounted. The fastest start, no block device; the
 * size is a promise that is accounted for and, on a plain file system, not enforced.
 */
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { filesystemSpace } from "../../host/copies.ts";
import type { Limits } from "../accounting.ts";
import { FolderPool, type PoolPlace } from "../folder-pool.ts";
import type { Attachments, NewVolume, Opened, Place, Pool, PoolFeatures, Snapshot, Volume } from "../pool.ts";
import { Problem } from "../problem.ts";

const dataName = "data";

export class DirectoryPool extends FolderPool implements Pool {
  readonly features: PoolFeatures;
  readonly attachments?: Attachments;

  private constructor(place: PoolPlace, limits: Limits) {
    super(place, limits);
    this.features = {
      gives: "directory",
      block: false,
      snapshots: false,
      clones: false,
      expand: true,
      multiNode: place.shared,
      enforcesSize: false,
      minimumSize: 1,
    };
    const records = this.attachmentRecords;
    if (records) {
      this.attachments = {
        limitOf: (node) => records.limitOf(node),
        holders: (volume) => records.holders(volume),
        setHolders: (volume, holders) => records.setHolders(volume, holders),
        count: (node) => records.count(node),
        fence: () => Promise.reject(unfenceable()),
      };
    }
  }

  static async open(place: PoolPlace, limits: Limits): Promise<DirectoryPool> {
    const pool = new DirectoryPool(place, limits);
    await pool.enter();
    return pool;
  }

  protected async measure(): Promise<number> {
    // Sizes are not enforced, so what the volumes hold of the file system is not known without reading them all.
    return (await filesystemSpace(this.folder)).total;
  }

  async create(volume: NewVolume): Promise<Volume> {
    if (volume.origin)
      throw new Problem("SOURCE_UNSUPPORTED", `the pool '${this.name}' makes no copies of directories`);
    const aside = await this.accounting.promise("volume", volume.key, volume.size);
    try {
      await mkdir(join(aside.path, dataName), { mode: 0o755 });
      const made: Volume = { ...volume, created: Date.now() };
      await this.appearVolume(aside, made);
      return made;
    } catch (error) {
      await this.accounting.withdraw(aside);
      throw error;
    }
  }

  async grow(volume: Volume, size: number): Promise<Volume> {
    if (volume.size >= size) return volume;
    const promise = await this.accounting.promise("grow", volume.key, size - volume.size);
    try {
      const grown = { ...volume, size };
      await this.regrown(grown);
      return grown;
    } finally {
      await this.accounting.withdraw(promise);
    }
  }

  snapshot(): Promise<Snapshot> {
    return Promise.reject(new Problem("FEATURE_ABSENT", `the pool '${this.name}' has no snapshots`));
  }

  async open(volume: Volume): Promise<Opened> {
    const path = this.#data(volume);
    const there = await stat(path).catch(() => undefined);
    if (!there?.isDirectory()) throw new Problem("CONTENT_LOST", `the folder ${path} is not there`);
    return { gives: "directory", path, release: () => undefined };
  }

  /** Bind mounts are the node's own business: it has taken them away before it closes. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  opened(volume: Volume): Promise<Place> {
    return Promise.resolve({ gives: "directory", path: this.#data(volume) });
  }

  inUse(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async rework(): Promise<boolean> {
    return false;
  }

  async resizeOpened(volume: Volume): Promise<number> {
    return volume.size;
  }

  /** A folder's place in its pool, for whoever mounts it. */
  #data(volume: Volume): string {
    return this.volumes.path(volume.key, dataName);
  }
}

function unfenceable(): Problem {
  return new Problem("FEATURE_ABSENT", "a directory can't be taken from a node that has it mounted", {
    advice: "make sure that the node is down, then detach with --force again and --unfenced",
  });
}
