/**
 * The smallest pool that is whole: volumes, no snapshots and no copies. It keeps the records, the promises of space and
 * the order in which things become durable; a backend says how a volume's bytes come about, grow, and are opened.
 */
import { FolderPool } from "./folder-pool.ts";
import type { NewVolume, Opened, OpenOptions, Place, Pool, PoolFeatures, Progress, Snapshot, Volume } from "./pool.ts";
import { Problem } from "./problem.ts";

export abstract class PlainPool extends FolderPool implements Pool {
  abstract readonly features: PoolFeatures;

  /** Fills the empty folder of a volume that nobody sees yet. Durable when it returns; after a crash all of it is thrown away. */
  protected abstract build(folder: string, volume: NewVolume): Promise<void>;

  /** Makes the bytes of a volume at least `size`. The space is promised; called again after a crash. */
  protected abstract enlarge(volume: Volume, size: number): Promise<void>;

  abstract open(volume: Volume, options: OpenOptions, work: Progress): Promise<Opened>;
  abstract close(volume: Volume, work: Progress): Promise<void>;
  abstract opened(volume: Volume): Promise<Place | undefined>;

  async create(volume: NewVolume): Promise<Volume> {
    if (volume.origin) throw new Problem("SOURCE_UNSUPPORTED", `the pool '${this.name}' makes no copies`);
    return this.makeVolume(volume, async (aside) => {
      await this.build(aside.path, volume);
      return undefined;
    });
  }

  async grow(volume: Volume, size: number): Promise<Volume> {
    if (volume.size >= size) return volume;
    return this.growVolume(volume, size, () => this.enlarge(volume, size));
  }

  snapshot(): Promise<Snapshot> {
    return Promise.reject(new Problem("FEATURE_ABSENT", `the pool '${this.name}' has no snapshots`));
  }

  /** What this node's records say is enough where a volume is open only by its mounts. */
  inUse(_volume: Volume): Promise<string | undefined> {
    return Promise.resolve(undefined);
  }

  rework(_volume: Volume, _work: (device: string) => Promise<void>, _progress: Progress): Promise<boolean> {
    return Promise.resolve(false);
  }

  resizeOpened(volume: Volume): Promise<number> {
    return Promise.resolve(volume.size);
  }
}
