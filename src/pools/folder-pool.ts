/**
 * What every pool that keeps its entries in a folder has in common: the shelves, the promises, pages, deletion in the
 * background and the clean-up after a crash. A backend adds the bytes.
 */
import { constants } from "node:fs";
import { join } from "node:path";
import { Replacement, sweepTemporaries } from "../host/files.ts";
import { access, opendir, readdir, writeFile } from "../host/fs.ts";
import { longerThan, soonMs } from "../host/intervals.ts";
import { keepSpareLocks, lockFile } from "../host/locks.ts";
import { Accounting, type Limits } from "./accounting.ts";
import { AttachmentRecords } from "./attachments.ts";
import { decodeLatch, decodeSnapshot, decodeVolume, encodeLatch, encodeSnapshot, encodeVolume } from "./codec.ts";
import { eachApart } from "./each-apart.ts";
import { HalfMade } from "./half-made.ts";
import { keyOf } from "./ids.ts";
import { Inventory, inTurns } from "./inventory.ts";
import { readMarker } from "./marker.ts";
import type {
  Key,
  KeyedPage,
  Latch,
  NewSnapshot,
  NewVolume,
  PoolCapacity,
  PreparedLatch,
  Snapshot,
  Volume,
} from "./pool.ts";
import { Presence } from "./presence.ts";
import { Problem } from "./problem.ts";
import { noteRecent, readIfThere, readLocal } from "./record.ts";
import { type Aside, discardAside, layOut, listAside, type Part, Shelf } from "./shelf.ts";

/** What a backend is given to open a pool. */
export interface PoolPlace {
  readonly name: string;
  readonly folder: string;
  readonly uuid: string;
  readonly shared: boolean;
  /** This node's name. */
  readonly node: string;
  /** How many volumes this node takes; 0: not limited. */
  readonly maxVolumes: number;
  /** Opened by an operator's command: this machine does not become a node of a shared pool. */
  readonly visitor?: boolean;
}

/** Longer than a writer's file must be old to count as left. */
const sweepAgainMs = 11 * 60_000;
/** Looked at to tell whose the marker is. */
const fewVolumes = 16;
const latchName = "latch.json";

export abstract class FolderPool {
  readonly name: string;
  readonly uuid: string;
  readonly folder: string;
  readonly shared: boolean;
  readonly #place: PoolPlace;
  protected readonly volumes: Shelf<Volume>;
  protected readonly snapshots: Shelf<Snapshot>;
  protected readonly accounting: Accounting;
  protected readonly inventory: Inventory;
  protected readonly attachmentRecords: AttachmentRecords | undefined;
  readonly #presence: Presence;
  readonly #halfMade: HalfMade;
  /** Deletions under way in this process, so that stopping can wait for the one that runs. */
  #reclaiming: Promise<void> = Promise.resolve();
  #stopped = false;
  #sweepingAgain: NodeJS.Timeout | undefined;

  constructor(place: PoolPlace, limits: Limits) {
    this.name = place.name;
    this.uuid = place.uuid;
    this.folder = place.folder;
    this.shared = place.shared;
    this.#place = place;
    this.#presence = new Presence(place.folder, place.shared);
    this.volumes = new Shelf(place.folder, "volume", { encode: encodeVolume, decode: decodeVolume }, place.shared);
    this.snapshots = new Shelf(
      place.folder,
      "snapshot",
      { encode: encodeSnapshot, decode: decodeSnapshot },
      place.shared,
    );
    this.inventory = new Inventory(place.folder, { volume: this.volumes, snapshot: this.snapshots }, this.#presence);
    this.#halfMade = new HalfMade({
      folder: place.folder,
      shared: place.shared,
      inventory: this.inventory,
      lockPath: (kind, key) => this.lockPath(kind, key),
      discard: (aside) => this.discard(aside),
    });
    this.accounting = new Accounting(place, limits, this.inventory, {
      measure: () => this.measure(),
      giveUp: (aside) => this.#giveUp(aside),
      makeRoom: (mine) => this.#halfMade.makeRoom(mine),
    });
    this.attachmentRecords = place.shared ? new AttachmentRecords(place.folder) : undefined;
  }

  /** Bytes: how large the pool is where its configuration does not say. */
  protected abstract measure(): Promise<number>;

  /** Removes what is aside, with all that is in it. May be called twice. A backend may know a faster way. */
  protected discard(aside: Aside): Promise<void> {
    return discardAside(aside);
  }

  find(key: Key, likely?: "absent"): Promise<Volume | undefined> {
    return this.volumes.find(key, likely);
  }

  findSnapshot(key: Key): Promise<Snapshot | undefined> {
    return this.snapshots.find(key);
  }

  list(after: Key | undefined, max: number): Promise<KeyedPage<Volume>> {
    return this.inventory.page(this.volumes, after, max);
  }

  listSnapshots(after: Key | undefined, max: number): Promise<KeyedPage<Snapshot>> {
    return this.inventory.page(this.snapshots, after, max);
  }

  capacity(): Promise<PoolCapacity> {
    return this.accounting.capacity();
  }

  async remove(volume: Volume): Promise<void> {
    await this.#vanish(this.volumes, volume);
  }

  async removeSnapshot(snapshot: Snapshot): Promise<void> {
    await this.#vanish(this.snapshots, snapshot);
  }

  async latch(volume: Volume): Promise<Latch> {
    const path = this.volumes.path(volume.key, latchName);
    const text = await (this.shared ? readIfThere(path) : readLocal(path));
    if (text !== undefined) return decodeLatch(text, path);
    // No latch means blank only where its volume is: not where the pool's disk has gone since the volume was found.
    if ((await this.volumes.find(volume.key))?.nonce === volume.nonce) return { state: "blank" };
    throw new Problem("POOL_UNAVAILABLE", `the volume '${volume.name}' is not in the pool '${this.name}' any more`);
  }

  async setLatch(volume: Volume, latch: Latch): Promise<void> {
    await this.prepareLatch(volume, latch).set();
  }

  prepareLatch(volume: Volume, latch: Latch): PreparedLatch {
    const path = this.volumes.path(volume.key, latchName);
    const replacement = new Replacement(path, true);
    replacement.fill(encodeLatch(latch));
    const set = async () => {
      await replacement.place();
      noteRecent(path);
    };
    return { set, drop: () => replacement.drop() };
  }

  /** The latch of an entry that is still aside; blank is the absence of one. Gives the files that are to be made durable. */
  protected async latchAside(aside: Aside, latch: Latch): Promise<string[]> {
    if (latch.state === "blank") return [];
    await writeFile(join(aside.path, latchName), encodeLatch(latch), { flag: "wx", mode: 0o600 });
    return [latchName];
  }

  /**
   * A volume from promise to appearance. `build` fills its aside and names the files of it that are not durable yet; what
   * it throws takes all back.
   */
  protected async makeVolume(
    volume: NewVolume,
    build: (aside: Aside) => Promise<readonly Part[] | undefined>,
  ): Promise<Volume> {
    const aside = await this.accounting.promise("volume", volume.key, volume.size);
    try {
      const files = await build(aside);
      const made: Volume = { ...volume, created: Date.now() };
      await this.volumes.appear(aside, made, files);
      this.inventory.present("volume", made.key, made.size);
      this.inventory.reclaimed(aside.path);
      return made;
    } catch (error) {
      // It may have appeared and only not be durable.
      this.inventory.doubt();
      await this.accounting.withdraw(aside);
      throw error;
    }
  }

  /** A snapshot likewise. `cut` fills its aside, says what the bytes are, and names the files of it that are not durable yet. */
  protected async makeSnapshot(
    snapshot: NewSnapshot,
    source: Volume,
    sourceId: string,
    cut: (aside: Aside) => Promise<{
      readonly content: { readonly fsType: string; readonly latch: Latch };
      readonly files?: readonly string[];
    }>,
  ): Promise<Snapshot> {
    const aside = await this.accounting.promise("snapshot", snapshot.key, source.size);
    try {
      const { content, files } = await cut(aside);
      const made: Snapshot = {
        ...snapshot,
        origin: { kind: "volume", id: sourceId, key: source.key, nonce: source.nonce },
        size: source.size,
        created: Date.now(),
        access: source.access,
        ...content,
      };
      await this.snapshots.appear(aside, made, files);
      this.inventory.present("snapshot", made.key, made.size);
      this.inventory.reclaimed(aside.path);
      return made;
    } catch (error) {
      // It may have appeared and only not be durable.
      this.inventory.doubt();
      await this.accounting.withdraw(aside);
      throw error;
    }
  }

  /** A larger volume: promised, then enlarged, then recorded. */
  protected async growVolume(volume: Volume, size: number, enlarge: () => Promise<void>): Promise<Volume> {
    const promise = await this.accounting.promise("grow", volume.key, size - volume.size);
    try {
      await enlarge();
      const grown: Volume = { ...volume, size };
      await this.volumes.replace(grown);
      this.inventory.present("volume", grown.key, grown.size);
      return grown;
    } catch (error) {
      this.inventory.doubt();
      throw error;
    } finally {
      await this.accounting.withdraw(promise);
    }
  }

  async recover(): Promise<void> {
    if (await this.unavailable()) return;
    // What the crash before this start left is too young yet to be told from a living writer's.
    this.#sweepingAgain ??= setTimeout(() => void this.#sweep().catch(() => undefined), sweepAgainMs).unref();
    await eachApart(
      [
        () => this.#halfMade.clear(),
        async () => {
          for (const aside of await listAside(this.folder, "trash")) this.#reclaim(aside);
        },
        () => this.#sweep(),
        () => this.#sweepLocks(),
      ],
      (step) => step(),
    );
  }

  /** The files of locks that nobody holds: a process that died had them, or let them rest for the next call. */
  async #sweepLocks(): Promise<void> {
    const names = await readdir(join(this.folder, "locks"));
    const locks = names.filter((each) => /^(?:volume|snapshot)-/.test(each));
    await eachApart(locks, async (name) => {
      const lock = await lockFile(join(this.folder, "locks", name));
      if (!("heldBy" in lock)) await lock.release();
    });
  }

  /** What writers left that died between writing a file aside and renaming it. */
  async #sweep(): Promise<void> {
    const nodes = await readdir(join(this.folder, "nodes"));
    const asked = this.shared ? await readdir(join(this.folder, "requests")).catch(() => []) : [];
    const records = this.shared ? ["attachments", "members", ...asked.map((node) => join("requests", node))] : [];
    const folders = [".", ...records, ...nodes.map((node) => join("nodes", node))].map((each) =>
      join(this.folder, each),
    );
    const volumes = (await this.volumes.keys()).map((key) => this.volumes.path(key));
    await inTurns([...folders, ...volumes], 2, async (folder) => {
      // A volume may be deleted meanwhile.
      await sweepTemporaries(folder).catch(() => 0);
    });
  }

  /** The file whose flock decides between processes who works on an entry. */
  lockPath(kind: "volume" | "snapshot", key: Key): string {
    return join(this.folder, "locks", `${kind}-${key}`);
  }

  async unavailable(): Promise<string | undefined> {
    try {
      const marker = await readMarker(this.folder);
      if (marker.uuid !== this.uuid) return `${this.folder} holds another pool now (${marker.uuid})`;
      await access(this.folder, constants.W_OK);
      return undefined;
    } catch (error) {
      return error instanceof Problem
        ? error.message
        : `${this.folder}: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  /** Called once before the first use: the folders of this release, and this node's own record in a shared pool. */
  async enter(): Promise<void> {
    await layOut(this.folder);
    await this.#refuseForeignMarker();
    // One that was killed between a rename and its sync left a name that a repeated call finds, and that a power cut takes back.
    await Promise.all([this.volumes.settle(), this.snapshots.settle()]);
    await keepSpareLocks(join(this.folder, "locks"));
    await this.attachmentRecords?.layOut();
    const { node, maxVolumes, visitor } = this.#place;
    if (!visitor) await this.attachmentRecords?.members.join({ node, maxVolumes });
  }

  async rejoin(): Promise<string | undefined> {
    const members = this.attachmentRecords?.members;
    const wrong = await members?.wrong();
    // Where the pool's disk is away, or another's is there, nothing of ours is to be written.
    if (wrong === undefined || (await this.unavailable()) !== undefined) return undefined;
    await members?.mend();
    return wrong;
  }

  /** With the next promise it announces itself again. While one is open others must ask the disk. */
  async rest(): Promise<void> {
    if (this.inventory.idle) await this.#presence.end();
  }

  /**
   * With another pool's marker each volume would get another ID, and each name a second volume. One volume that is not
   * called as its key says may be damaged itself, so it takes two of a few that were looked at, and none that is right.
   */
  async #refuseForeignMarker(): Promise<void> {
    const strangers: string[] = [];
    for await (const { name: key } of await opendir(join(this.folder, "volumes"))) {
      const volume = await this.volumes.find(key).catch(() => undefined);
      if (!volume) continue;
      if (keyOf(volume.ephemeral ? "ephemeral" : "volume", this.uuid, volume.name) === key) return;
      strangers.push(volume.name);
      if (strangers.length === fewVolumes) break;
    }
    if (strangers.length < 2) return;
    throw new Problem(
      "POOL_UNAVAILABLE",
      `${this.folder} has the marker of another pool: its volumes '${strangers.slice(0, 2).join("', '")}' are not of ${this.uuid}`,
      { advice: "restore the pool's own holdfast.json from a backup" },
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#sweepingAgain);
    await this.#halfMade.stop();
    await this.#reclaiming;
    for (const shelf of [this.volumes, this.snapshots]) shelf.end();
    await this.#presence.end();
  }

  async #giveUp(aside: Aside): Promise<void> {
    try {
      await this.discard(aside);
      this.inventory.reclaimed(aside.path);
    } catch {
      this.#reclaim(aside);
    }
  }

  async #vanish<T extends Volume | Snapshot>(shelf: Shelf<T>, entry: T): Promise<void> {
    const aside = await shelf.vanish(entry);
    if (aside) this.inventory.aside(aside.path, aside.size);
    this.inventory.gone(shelf.kind, entry.key);
    try {
      await shelf.settle();
    } finally {
      // Where that failed it comes first, or a power cut could bring the name back without what was behind it.
      if (aside) this.#reclaim(aside);
    }
  }

  /** One at a time: giving back a large file costs the disk, and the calls that people wait for come first. */
  #reclaim(aside: Aside, againMs = soonMs): void {
    this.#reclaiming = this.#reclaiming.then(async () => {
      if (this.#stopped) return;
      try {
        await (aside.kind === "snapshot" ? this.snapshots : this.volumes).settled(aside.key);
        await this.discard(aside);
        this.inventory.reclaimed(aside.path);
      } catch {
        // It stays counted, and is tried again: the disk may have been read-only, or something mounted in it.
        setTimeout(() => this.#reclaim(aside, longerThan(againMs)), againMs).unref();
      }
    });
  }
}
