/**
 * The directory backend: each volume is a folder that is bind-mounted. The fastest start and no block device. On btrfs
 * the folders are subvolumes, with snapshots and clones, and with enforced sizes where quotas are on; elsewhere a size is a
 * promise that is accounted for and not enforced.
 */
import { filesystemSpace } from "../../host/copies.ts";
import { lstat } from "../../host/fs.ts";
import type { Limits } from "../accounting.ts";
import { FolderPool, type PoolPlace } from "../folder-pool.ts";
import type {
  Attachments,
  NewSnapshot,
  NewVolume,
  Opened,
  Place,
  Pool,
  PoolFeatures,
  Progress,
  Snapshot,
  Volume,
  VolumeUsage,
} from "../pool.ts";
import { Problem } from "../problem.ts";
import { hasCode } from "../record.ts";
import { type Aside, discardAside } from "../shelf.ts";
import { type Trees, treesOf } from "./trees.ts";

const dataName = "data";

export class DirectoryPool extends FolderPool implements Pool {
  readonly features: PoolFeatures;
  readonly attachments?: Attachments;

  readonly #trees: Trees;

  private constructor(place: PoolPlace, limits: Limits, trees: Trees) {
    super(place, limits);
    this.#trees = trees;
    this.features = {
      gives: "directory",
      block: false,
      snapshots: trees.copies,
      clones: trees.copies,
      expand: true,
      multiNode: place.shared,
      enforcesSize: trees.limits,
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
    const pool = new DirectoryPool(place, limits, await treesOf(place.folder));
    await pool.enter();
    return pool;
  }

  protected async measure(): Promise<number> {
    // Sizes are not enforced, so what the volumes hold of the file system is not known without reading them all.
    return (await filesystemSpace(this.folder)).total;
  }

  protected override async discard(aside: Aside): Promise<void> {
    await this.#trees.remove(aside.path, dataName);
    await discardAside(aside);
  }

  async create(volume: NewVolume): Promise<Volume> {
    const source = volume.origin && (await this.#source(volume.origin));
    return this.makeVolume(volume, async (aside) => {
      if (source === undefined) await this.#trees.make(aside.path, dataName, volume.size);
      else await this.#trees.copy(source, aside.path, dataName, volume.size);
      return undefined;
    });
  }

  async grow(volume: Volume, size: number): Promise<Volume> {
    if (volume.size >= size) return volume;
    return this.growVolume(volume, size, () => this.#trees.limit(this.#data(volume), size));
  }

  /** One instant of the tree, what its users have only in memory left out: the kernel commits before it copies. */
  async snapshot(snapshot: NewSnapshot, source: Volume, sourceId: string, work: Progress): Promise<Snapshot> {
    if (!this.#trees.copies)
      throw new Problem("FEATURE_ABSENT", `the pool '${this.name}' has no snapshots: it is not on btrfs`);
    return this.makeSnapshot(snapshot, source, sourceId, async (aside) => {
      work.step("cutting");
      await this.#trees.copy(this.#data(source), aside.path, dataName, source.size);
      return { content: { fsType: "", latch: { state: "blank" } } };
    });
  }

  async open(volume: Volume): Promise<Opened> {
    const path = this.#data(volume);
    // Not a link: what that leads to lies elsewhere, and is perhaps another volume's.
    const there = await lstat(path).catch((error: unknown) => {
      if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
      throw error; // not looked at is not lost
    });
    if (!there?.isDirectory()) throw new Problem("CONTENT_LOST", `${path} is not there, or is no folder`);
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

  async usage(volume: Volume): Promise<VolumeUsage | undefined> {
    return this.#trees.usage(this.#data(volume), volume.size);
  }

  async #source(origin: NonNullable<NewVolume["origin"]>): Promise<string> {
    if (!this.#trees.copies) {
      throw new Problem(
        "SOURCE_UNSUPPORTED",
        `the pool '${this.name}' makes no copies of directories: it is not on btrfs`,
      );
    }
    if (origin.kind === "snapshot") {
      const snapshot = await this.snapshots.find(origin.key);
      if (snapshot?.nonce !== origin.nonce)
        throw new Problem("SNAPSHOT_NOT_FOUND", `there is no snapshot ${origin.id}`);
      return this.snapshots.path(origin.key, dataName);
    }
    const volume = await this.volumes.find(origin.key);
    if (volume?.nonce !== origin.nonce) throw new Problem("VOLUME_NOT_FOUND", `there is no volume ${origin.id}`);
    return this.#data(volume);
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
