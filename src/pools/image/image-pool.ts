/**
 * The image backend: each volume is a sparse raw file that a loop device turns into a disk. On a file system with
 * reflinks (xfs, btrfs) snapshots and clones share blocks and take constant time; elsewhere they are sparse copies.
 */
import { join } from "node:path";
import { reflinks } from "../../host/copies.ts";
import { syncDirectory } from "../../host/files.ts";
import { rename, unlink } from "../../host/fs.ts";
import { together } from "../../host/together.ts";
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
      const { thick } = this.#options;
      if (!volume.origin) {
        return [{ name: dataName, fd: await makeImage(data, volume.size, thick) }];
      }
      const source = await this.#source(volume.origin);
      const copying = async () => {
        const bytes = await this.#cut(source, data, volume.origin?.kind === "volume" ? work.hold : unheld, work);
        if (bytes < volume.size || thick) await growImage(data, volume.size, thick);
      };
      if (isFinished(source.latch)) {
        const latch = this.latchAside(aside, source.latch);
        await together([copying(), latch]);
        return [dataName, ...(await latch)];
      }
      await copying();
      return [dataName, ...(await this.latchAside(aside, await this.#finish(data, source.latch, work)))];
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
      const latch = this.latch(source);
      const from = { path: this.#data(source), size: source.size };
      await together([this.#cut(from, join(aside.path, dataName), work.hold, work), latch]);
      return { content: { fsType: source.fsType, latch: await latch }, files: [dataName] };
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
  async #cut(from: Bytes, to: string, hold: Hold, work: Progress): Promise<number> {
    const { signal } = work;
    const share = this.#options.thick && this.#reflinks;
    const cut = await hold(this.#options.maxFreeze, (stillness) => {
      work.step(this.#reflinks ? "cutting" : "copying");
      if (!share) return this.#copy(from, to, stillness, work);
      // A thick source must not share blocks: its next write would need new ones. So a moment's reflink, then a copy.
      return copyImage(from.path, `${to}.cut`, { reflink: true, thick: false, size: from.size, signal });
    });
    if (!share) return cut;
    work.step("copying");
    const bytes = await copyImage(`${to}.cut`, to, { reflink: false, thick: true, size: from.size, signal });
    await unlink(`${to}.cut`);
    return bytes;
  }

  async #copy(from: Bytes, to: string, stillness: Stillness, work: Progress): Promise<number> {
    const { thick } = this.#options;
    // Made durable as it appears, with its record.
    const options = { reflink: this.#reflinks && !thick, thick, size: from.size, durableLater: true };
    if (stillness === "idle" || this.#reflinks) return copyImage(from.path, to, { ...options, signal: work.signal });
    if (stillness === "moving") {
      throw new Problem(
        "SNAPSHOT_NEEDS_FREEZE",
        `a raw volume in use can't be held still while it is copied, and the file system of the pool '${this.name}' has no reflinks`,
      );
    }
    const limit = AbortSignal.timeout(this.#options.maxFreeze);
    try {
      return await copyImage(from.path, to, { ...options, signal: AbortSignal.any([limit, work.signal]) });
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

/** Whether a copy has no file system that must be given a UUID of its own. */
function isFinished(latch: Latch): boolean {
  return latch.state === "blank" || latch.state === "used";
}

/** A pool that is full can still work in place. */
function unlessFull(error: unknown): undefined {
  if (error instanceof Problem && error.code === "POOL_FULL") return undefined;
  throw error;
}

const unheld: Hold = (_maxMs, cut) => cut("idle");
