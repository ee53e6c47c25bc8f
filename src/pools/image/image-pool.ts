/**
 * The image backend: each volume is a sparse raw file that a loop device turns into a disk. On a file system with
 * reflinks (xfs, btrfs) snapshots and clones share blocks and take constant time; elsewhere they are sparse copies.
 */
import { rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { reflinks } from "../../host/copies.ts";
import { syncDirectory } from "../../host/files.ts";
import type { Limits } from "../accounting.ts";
import { FolderPool, type PoolPlace } from "../folder-pool.ts";
import type {
  Attachments,
  Hold,
  Latch,
  NewSnapshot,
  NewVolume,
  Opened,
  OpenOptions,
  Place,
  Pool,
  PoolFeatures,
  Progress,
  Snapshot,
  Stillness,
  Volume,
} from "../pool.ts";
import { Problem } from "../problem.ts";
import { copyImage, growImage, makeImage, sizeOf } from "./bytes.ts";
import { Devices } from "./devices.ts";
import { measureImages } from "./measure.ts";

export interface ImageOptions extends Limits {
  /** Blocks are reserved when the volume is made, and stay so. */
  readonly thick: boolean;
  /** Milliseconds that a volume in use may be held still for a copy where there are no reflinks. */
  readonly maxFreeze: number;
}

const dataName = "data.img";
/** mkfs.ext4 and mkfs.btrfs have higher ones of their own; the rules know them. */
const minimumSize = 1024 * 1024;

/** A file and the bytes that it has by its record. */
interface Bytes {
  readonly path: string;
  readonly size: number;
}

export class ImagePool extends FolderPool implements Pool {
  readonly features: PoolFeatures;
  readonly attachments?: Attachments;
  readonly #options: ImageOptions;
  readonly #reflinks: boolean;
  readonly #devices: Devices;

  private constructor(place: PoolPlace, options: ImageOptions, canReflink: boolean) {
    super(place, options);
    this.#options = options;
    this.#reflinks = canReflink;
    this.#devices = new Devices({ thick: options.thick, remote: place.shared });
    this.features = {
      gives: "device",
      block: true,
      snapshots: true,
      clones: true,
      expand: true,
      multiNode: false,
      enforcesSize: true,
      minimumSize,
    };
    const records = this.attachmentRecords;
    if (records) {
      this.attachments = {
        limitOf: (node) => records.limitOf(node),
        holders: (volume) => records.holders(volume),
        setHolders: (volume, holders) => records.setHolders(volume, holders),
        count: (node) => records.count(node),
        fence: (volume, work) => this.#fence(volume, work),
      };
    }
  }

  static async open(place: PoolPlace, options: ImageOptions): Promise<ImagePool> {
    const pool = new ImagePool(place, options, await reflinks(place.folder));
    await pool.enter();
    return pool;
  }

  protected measure(): Promise<number> {
    return measureImages(this.folder, [this.volumes, this.snapshots], dataName, this.#reflinks);
  }

  async create(
    volume: NewVolume,
    work: Progress & { hold: Hold; finish: (device: string, latch: Latch) => Promise<Latch> },
  ): Promise<Volume> {
    return this.makeVolume(volume, async (aside) => {
      const data = join(aside.path, dataName);
      let latch: Latch = { state: "blank" };
      if (volume.origin) {
        const source = await this.#source(volume.origin);
        latch = source.latch;
        await this.#cut(source, data, volume.origin.kind === "volume" ? work.hold : unheld, work);
        await growImage(data, volume.size, this.#options.thick);
        latch = await this.#finish(data, latch, work);
      } else {
        await makeImage(data, volume.size, this.#options.thick);
      }
      return [dataName, ...(await this.latchAside(aside, latch))];
    });
  }

  async grow(volume: Volume, size: number): Promise<Volume> {
    if (volume.size >= size) return volume;
    await sizeOf(this.#data(volume), volume.size);
    return this.growVolume(volume, size, () => growImage(this.#data(volume), size, this.#options.thick));
  }

  async snapshot(
    snapshot: NewSnapshot,
    source: Volume,
    sourceId: string,
    work: Progress & { hold: Hold },
  ): Promise<Snapshot> {
    return this.makeSnapshot(snapshot, source, sourceId, async (aside) => {
      const latch = await this.latch(source);
      await this.#cut({ path: this.#data(source), size: source.size }, join(aside.path, dataName), work.hold, work);
      return { fsType: source.fsType, latch };
    });
  }

  open(volume: Volume, options: OpenOptions, work: Progress): Promise<Opened> {
    return this.#devices.open(this.#data(volume), volume, options, work);
  }

  close(volume: Volume, work: Progress): Promise<void> {
    return this.#devices.close(this.#data(volume), volume, work);
  }

  opened(volume: Volume): Promise<Place | undefined> {
    return this.#devices.opened(this.#data(volume));
  }

  former(volume: Volume): Promise<Place[]> {
    return this.#devices.former(this.#data(volume));
  }

  inUse(volume: Volume): Promise<string | undefined> {
    return this.#devices.holder(this.#data(volume));
  }

  resizeOpened(volume: Volume): Promise<number> {
    return this.#devices.resize(this.#data(volume), volume);
  }

  async rework(volume: Volume, work: (device: string) => Promise<void>, progress: Progress): Promise<boolean> {
    if (!this.#reflinks || this.#options.thick) return false;
    const data = this.#data(volume);
    const promise = await this.accounting.promise("rework", volume.key, volume.size).catch(unlessFull);
    if (!promise) return false;
    try {
      const copy = join(promise.path, dataName);
      // Nobody may have the old bytes open, or their writes would be lost with them: not here, not in another mount
      // namespace that still holds them after an unmount, not on another node.
      await this.#devices.unopened(data, volume, progress, async () => {
        const { signal } = progress;
        await copyImage(data, copy, { reflink: true, thick: false, size: volume.size, signal });
        await this.#devices.aside(copy, work, progress);
        await this.#replace(copy, volume);
      });
      return true;
    } finally {
      await this.accounting.withdraw(promise);
    }
  }

  /** A new inode with the same bytes: whoever still has the old one open writes where nobody reads. */
  async #fence(volume: Volume, work: Progress): Promise<void> {
    work.step("giving the volume's bytes a new inode");
    // Promises nothing: the copy takes the place of what is promised already, and a full pool must not keep a dead node's hold.
    const promise = await this.accounting.promise("fence", volume.key, 0);
    try {
      const copy = join(promise.path, dataName);
      await copyImage(this.#data(volume), copy, {
        reflink: this.#reflinks,
        thick: this.#options.thick,
        size: volume.size,
        signal: work.signal,
      });
      await this.#replace(copy, volume);
    } finally {
      await this.accounting.withdraw(promise);
    }
  }

  /** The copy is durable; after the directory's sync so is its place. */
  async #replace(copy: string, volume: Volume): Promise<void> {
    await rename(copy, this.#data(volume));
    await syncDirectory(this.volumes.path(volume.key));
  }

  async #finish(
    data: string,
    latch: Latch,
    work: Progress & { finish: (device: string, latch: Latch) => Promise<Latch> },
  ): Promise<Latch> {
    if (latch.state === "blank" || latch.state === "used") return latch;
    let finished: Latch = latch;
    await this.#devices.aside(
      data,
      async (device) => {
        finished = await work.finish(device, latch);
      },
      work,
    );
    return finished;
  }

  /** The moment of the cut: by reflink, or by a copy that a volume in use bears for `maxFreeze` at most. */
  #cut(from: Bytes, to: string, hold: Hold, work: Progress): Promise<void> {
    return hold(this.#options.maxFreeze, async (stillness) => {
      work.step(this.#reflinks ? "cutting" : "copying");
      if (!this.#options.thick || !this.#reflinks) {
        await this.#copy(from, to, stillness, work);
        return undefined;
      }
      // A thick source must not share blocks: its next write would need new ones. So a moment's reflink, then a copy.
      const { signal } = work;
      await copyImage(from.path, `${to}.cut`, { reflink: true, thick: false, size: from.size, signal });
      return `${to}.cut`;
    }).then(async (cut) => {
      if (cut === undefined) return;
      work.step("copying");
      await copyImage(cut, to, { reflink: false, thick: true, size: from.size, signal: work.signal });
      await unlink(cut);
    });
  }

  async #copy(from: Bytes, to: string, stillness: Stillness, work: Progress): Promise<void> {
    const { thick } = this.#options;
    const options = { reflink: this.#reflinks && !thick, thick, size: from.size };
    if (stillness === "idle" || this.#reflinks) return copyImage(from.path, to, { ...options, signal: work.signal });
    if (stillness === "moving") {
      throw new Problem(
        "SNAPSHOT_NEEDS_FREEZE",
        `a raw volume in use can't be held still while it is copied, and the file system of the pool '${this.name}' has no reflinks`,
      );
    }
    const limit = AbortSignal.timeout(this.#options.maxFreeze);
    try {
      await copyImage(from.path, to, { ...options, signal: AbortSignal.any([limit, work.signal]) });
    } catch (error) {
      if (!limit.aborted) throw error;
      throw new Problem(
        "SNAPSHOT_NEEDS_FREEZE",
        `copying the volume in use took longer than the ${this.#options.maxFreeze} ms for which it may be frozen, and ` +
          `the file system of the pool '${this.name}' has no reflinks`,
        { cause: error },
      );
    }
  }

  async #source(origin: {
    kind: "snapshot" | "volume";
    key: string;
    nonce: string;
    id: string;
  }): Promise<Bytes & { latch: Latch }> {
    if (origin.kind === "snapshot") {
      const snapshot = await this.snapshots.find(origin.key);
      if (snapshot?.nonce !== origin.nonce)
        throw new Problem("SNAPSHOT_NOT_FOUND", `there is no snapshot ${origin.id}`);
      return { path: this.snapshots.path(origin.key, dataName), size: snapshot.size, latch: snapshot.latch };
    }
    const volume = await this.volumes.find(origin.key);
    if (volume?.nonce !== origin.nonce) throw new Problem("VOLUME_NOT_FOUND", `there is no volume ${origin.id}`);
    return { path: this.#data(volume), size: volume.size, latch: await this.latch(volume) };
  }

  #data(volume: Volume): string {
    return this.volumes.path(volume.key, dataName);
  }
}

/** A pool that is full can still work in place. */
function unlessFull(error: unknown): undefined {
  if (error instanceof Problem && error.code === "POOL_FULL") return undefined;
  throw error;
}

const unheld: Hold = (_maxMs, cut) => cut("idle");
