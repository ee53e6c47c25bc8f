/**
 * The contract between the rules and the storage. A backend is one implementation of `Pool`; everything else (gRPC,
 * idempotency, locks, formatting, mounting) is given. docs/tutorials/write-a-pool.md builds one.
 *
 * What holds for every method:
 * - It may be called again after any failure or crash, with the same arguments, and then finishes what was begun.
 * - It has no lock of its own for a volume: the caller holds the volume's lock, in this process and between processes.
 * - When it returns, what it did is durable. When it throws, nothing of it is visible, but a later call may find less to do.
 * - What exists is read from the disk. Anything kept in memory may be lost at any moment without harm.
 * - It throws `Problem`; anything else is reported as INTERNAL.
 */

/** 32 hexadecimal digits: a hash of the pool and the requested name. Folders are called after it, never after the name. */
export type Key = string;

/** Which creation of that key: 16 hexadecimal digits, so that a late call for a deleted volume can't hit its successor. */
export type Nonce = string;

/**
 * The format-once latch. Only `blank` and `formatting` may be formatted; after that, blank or foreign content is data
 * loss. `size` is what the file system filled when it was made or last grown, in bytes. Copies inherit the latch.
 */
export type Latch =
  | { readonly state: "blank" }
  | { readonly state: "formatting"; readonly fsType: string }
  | { readonly state: "formatted"; readonly fsType: string; readonly size: number }
  /** Being grown in place, with no copy to fall back on: a full check comes before the next mount. */
  | { readonly state: "resizing"; readonly fsType: string; readonly size: number }
  /** A raw device that was published: it holds whatever its user put there, and is never formatted. */
  | { readonly state: "used" };

/** A latch on its way. Whoever prepared one ends it with one of the two. */
export interface PreparedLatch {
  /** As `setLatch`. */
  set(): Promise<void>;
  /** Leaves nothing of it. */
  drop(): Promise<void>;
}

export interface Origin {
  readonly kind: "snapshot" | "volume";
  /** The CSI ID of the source, for the answer that a repeated create gives. */
  readonly id: string;
  readonly key: Key;
  readonly nonce: Nonce;
}

/** What a create asks a pool for. */
export interface NewVolume {
  readonly key: Key;
  readonly nonce: Nonce;
  /** The node's name that its ID carries, also after the node got another. Absent: the pool is shared, or the first name that it had. */
  readonly node?: string;
  /** As the caller spelled it. */
  readonly name: string;
  /** Bytes, a multiple of 4096. */
  readonly size: number;
  readonly access: "block" | "mount";
  /** The file system that its first stage makes; empty for a raw volume and where the pool gives directories. */
  readonly fsType: string;
  readonly mkfsOptions: readonly string[];
  /** The parameters that a repeated create must repeat. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly origin?: Origin;
  /** A pod's own volume: made by its publish, removed by its unpublish, listed to nobody. Kept with the volume as it is. */
  readonly ephemeral?: Ephemeral;
}

export interface Ephemeral {
  /** Where it is published; it is so nowhere else. */
  readonly targetPath: string;
  /** `namespace/name`; empty: not told. */
  readonly pod: string;
}

export interface Volume extends NewVolume {
  /** Milliseconds since the epoch. */
  readonly created: number;
}

export interface NewSnapshot {
  readonly key: Key;
  readonly nonce: Nonce;
  /** As a volume's. */
  readonly node?: string;
  readonly name: string;
  readonly parameters: Readonly<Record<string, string>>;
}

export interface Snapshot extends NewSnapshot {
  /** The source's ID, key and creation. The source itself may be gone. */
  readonly origin: Origin;
  /** Bytes that a restore needs at least: the size of the source when it was cut. */
  readonly size: number;
  /** Milliseconds since the epoch: when it was cut. */
  readonly created: number;
  readonly access: "block" | "mount";
  readonly fsType: string;
  readonly latch: Latch;
}

/** Progress and cancellation of one operation: what ABORTED tells others comes from here. */
export interface Progress {
  /** Aborted when nobody waits for the work any more and it can be redone. */
  readonly signal: AbortSignal;
  /** Says which step begins: "copying", "waiting for the device to be free". */
  readonly step: (what: string) => void;
  /** Names the child process that runs now. */
  readonly child: (pid: number, program: string) => void;
}

/**
 * How still the volume is: nobody has it open (`idle`), its file system is frozen, or a raw device was flushed and its
 * user may write on (`moving`: only a cut in one instant is consistent).
 */
export type Stillness = "idle" | "frozen" | "moving";

/** Holds a volume still while `cut` runs, for at most `maxMs` milliseconds where somebody uses it, and lets go whatever happens. */
export type Hold = <T>(maxMs: number, cut: (stillness: Stillness) => Promise<T>) => Promise<T>;

export interface PoolFeatures {
  /** What `open` gives: a block device that the rules format and mount, or a directory that is ready for use. */
  readonly gives: "device" | "directory";
  /** Raw block volumes: only with `gives: "device"`. */
  readonly block: boolean;
  readonly snapshots: boolean;
  /** Volumes from volumes. Volumes from snapshots follow from `snapshots`. */
  readonly clones: boolean;
  readonly expand: boolean;
  /** Many nodes at once may have it open for writing. */
  readonly multiNode: boolean;
  /** Whether the size is enforced; where not, it is only a promise and statistics are those of the whole pool. */
  readonly enforcesSize: boolean;
  /** Bytes: the smallest volume. */
  readonly minimumSize: number;
}

/** Bytes. `promised` counts volumes, snapshots and deletions that have not yet given their space back. */
export interface PoolCapacity {
  readonly total: number;
  readonly reserve: number;
  readonly promised: number;
  /** What can still be promised; never negative. */
  readonly available: number;
}

/** Where a volume is on this node: a block device as `/dev/loop7`, or a directory. */
export type Place =
  | { readonly gives: "device"; readonly device: string }
  | { readonly gives: "directory"; readonly path: string };

/** A volume that this node has open. */
export type Opened =
  | {
      readonly gives: "device";
      /** As `/dev/loop7`. */
      readonly device: string;
      /** Whether space that the file system frees goes back to the pool; no: it must not, for it is reserved. */
      readonly discards: boolean;
      /** Open until `release`: for who would open it again. Absent: it is not. */
      readonly fd?: number;
      /** Lets go of what kept the device alive until somebody mounted it. May be called twice. */
      release(): void;
    }
  | { readonly gives: "directory"; readonly path: string; release(): void };

export interface OpenOptions {
  readonly readonly: boolean;
  /** The device stays until `close`, also when nobody has it mounted and when this process dies: raw block. */
  readonly keep: boolean;
}

/** Bytes. */
export interface VolumeUsage {
  readonly used: number;
  /** What the volume can still take: within its size and what the pool has left. */
  readonly available: number;
}

/** A page of an ordered list: `after` absent is the start, `next` absent the end. Ordered by key. */
export interface KeyedPage<T> {
  readonly entries: readonly T[];
  readonly next?: Key;
}

export interface Pool {
  readonly name: string;
  /** 32 hexadecimal digits, from the pool's marker. */
  readonly uuid: string;
  readonly folder: string;
  readonly shared: boolean;
  readonly features: PoolFeatures;

  // The controller's facet.

  /**
   * Makes a volume that `find` does not find. Built aside, made durable, and only then visible, whole. `finish` is
   * called with the device of a copy while it is still aside (with `origin` only). Throws POOL_FULL where the promise
   * does not fit, SOURCE_UNSUPPORTED, SNAPSHOT_NOT_FOUND or VOLUME_NOT_FOUND for an origin that is not there.
   */
  create(
    volume: NewVolume,
    work: Progress & { readonly hold: Hold; readonly finish: (device: string, latch: Latch) => Promise<Latch> },
  ): Promise<Volume>;
  /** Absent: undefined. Throws RECORD_DAMAGED for a record that can't be read, POOL_UNAVAILABLE, never "absent", for a pool that isn't there. `likely` may be ignored: how to look soonest. */
  find(key: Key, likely?: "absent"): Promise<Volume | undefined>;
  list(after: Key | undefined, max: number): Promise<KeyedPage<Volume>>;
  /** Takes it out of sight at once; its space comes back later. Absent is no error. The caller made sure that it is not in use. */
  remove(volume: Volume): Promise<void>;
  /** At least `size` bytes are promised and there. Already as large: the volume as it is. Throws POOL_FULL. */
  grow(volume: Volume, size: number): Promise<Volume>;
  capacity(): Promise<PoolCapacity>;
  /** Cuts a snapshot that `findSnapshot` does not find. `hold` is called around the cut. */
  snapshot(
    snapshot: NewSnapshot,
    source: Volume,
    sourceId: string,
    work: Progress & { readonly hold: Hold },
  ): Promise<Snapshot>;
  findSnapshot(key: Key): Promise<Snapshot | undefined>;
  listSnapshots(after: Key | undefined, max: number): Promise<KeyedPage<Snapshot>>;
  removeSnapshot(snapshot: Snapshot): Promise<void>;

  // The node's facet.

  /**
   * Makes it a device or a directory on this node. Open already by this node with `keep`: the same device again. Throws VOLUME_IN_USE,
   * naming the holder, when somebody else has it open, CONTENT_LOST when its bytes are gone or shorter than its size.
   */
  open(volume: Volume, options: OpenOptions, work: Progress): Promise<Opened>;
  /** Succeeds only when the kernel proves that nothing has it open any more; else VOLUME_IN_USE naming the holder. Not open is no error. */
  close(volume: Volume, work: Progress): Promise<void>;
  /** By what the volume is open on this node, read from the kernel; undefined: not open. A directory always is. */
  opened(volume: Volume): Promise<Place | undefined>;
  /**
   * By what this node still has bytes open that are the volume's no more, after a detach by force: to be closed, never
   * to be used. Absent: the pool gives its volumes no new bytes. `close` closes these too.
   */
  former?(volume: Volume): Promise<readonly Place[]>;
  /** Whether it is open anywhere that this host can see, by anybody. */
  inUse(volume: Volume): Promise<string | undefined>;
  latch(volume: Volume): Promise<Latch>;
  /** Durable when it returns: it comes before what it announces. */
  setLatch(volume: Volume, latch: Latch): Promise<void>;
  /** `setLatch`, begun before its moment: nothing of it counts before `set`, not even after a crash. Absent: the pool has no such steps. */
  prepareLatch?(volume: Volume, latch: Latch): PreparedLatch;
  /**
   * Runs `work` on a copy of a volume that is not open and puts the copy in its place, whole or not at all. False: the
   * pool can't copy in constant time, nothing was done, and the caller works in place behind its latch.
   */
  rework(volume: Volume, work: (device: string) => Promise<void>, progress: Progress): Promise<boolean>;
  /** After LOOP_SET_CAPACITY or its like: the device that is open has the volume's size. Bytes that it has now. */
  resizeOpened(volume: Volume): Promise<number>;

  /** Of a volume that shares its file system with others, where that counts each by itself; absent, or undefined: statfs tells. */
  usage?(volume: Volume): Promise<VolumeUsage | undefined>;

  // Life.

  /** Finishes what a crash left: half-made things away, deletions done. Called once, after the socket is open. */
  recover(): Promise<void>;
  /** Undefined: usable. Else what is missing. */
  unavailable(): Promise<string | undefined>;
  stop(): Promise<void>;
  /**
   * This process, which is no controller by itself, has made what it was asked for: other processes need not reckon with it
   * any more. Absent: they do not anyway. May be called while other work runs.
   */
  rest?(): Promise<void>;

  /**
   * Writes this node's own record in the pool anew where it is missing or damaged, durably, and answers what was wrong with it.
   * Undefined: nothing. Absent: there is no such record. To be called now and then: others need it to attach volumes here.
   */
  rejoin?(): Promise<string | undefined>;

  /** The file whose flock decides between processes who works on an entry. Its folder is there; the file comes and goes. */
  lockPath(kind: "volume" | "snapshot", key: Key): string;

  /** Only where volumes are attached before a node may open them: shared pools. */
  readonly attachments?: Attachments;
}

export interface Holder {
  readonly node: string;
  readonly mode: string;
  readonly access: "block" | "mount";
  readonly readonly: boolean;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** The attach facet: who may open a volume, by a record that nodes check before they open. Called under the volume's lock. */
export interface Attachments {
  /** How many volumes the node takes, 0 for no limit; undefined: no such node serves the pool. */
  limitOf(node: string): Promise<number | undefined>;
  holders(volume: { readonly key: Key; readonly nonce: Nonce }): Promise<readonly Holder[]>;
  /** Durable when it returns. */
  setHolders(volume: Volume, holders: readonly Holder[]): Promise<void>;
  /** How many volumes the node holds, but for those whose record can't be read. */
  count(node: string): Promise<number>;
  /** Gives the volume's bytes a new identity, so that whoever has the old one open writes where nobody reads. */
  fence(volume: Volume, work: Progress): Promise<void>;
}
