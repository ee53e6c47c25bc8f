/**
 * Where a pool's entries stand: `volumes/<key>/` and `snapshots/<key>/`, each a folder with its record. An entry is built
 * in `building/`, appears by one rename, and vanishes by one into `trash/`. The names in `building/` and `trash/` carry
 * what was promised to them, so that a sum needs no reading.
 */
import { randomBytes } from "node:crypto";
import { type BigIntStats, closeSync, constants, existsSync, lstatSync } from "node:fs";
import { join } from "node:path";
import {
  createDurably,
  openFile,
  renameNoReplace,
  SyncedDirectory,
  settleDirectories,
  syncFile,
  writeDurably,
} from "../host/files.ts";
import { lstat, mkdir, readdir, rename, rmdir, unlink } from "../host/fs.ts";
import { listMounts } from "../host/mount-table.ts";
import { removeTree } from "../host/remove-tree.ts";
import { naming } from "../host/system-error.ts";
import { together } from "../host/together.ts";
import type { Key } from "./pool.ts";
import { Problem } from "./problem.ts";
import { damaged, hasCode, isRecent, noteRecent, readIfThere } from "./record.ts";

interface Entry {
  readonly name: string;
  readonly key: Key;
  readonly nonce: string;
  readonly size: number;
}

export interface Codec<T extends Entry> {
  readonly encode: (entry: T) => string;
  readonly decode: (text: string, path: string) => T;
}

/** Something in `building/` or `trash/`: it holds a promise of space until it is gone. */
export interface Aside {
  readonly path: string;
  readonly kind: string;
  readonly key: Key;
  /** Bytes. */
  readonly size: number;
}

const cacheLimit = 20_000;
const hotMs = 100;
const recordName = "record.json";
const asidePattern = /^([a-z]+)-([0-9a-f]{32})-[0-9a-f]+-([0-9]+)$/;

/** What lies in a pool's folder beside the marker. */
export const poolFolders: readonly string[] = [
  "volumes",
  "snapshots",
  "building",
  "trash",
  "locks",
  "nodes",
  "controllers",
];

/** Makes the folders inside a pool's folder that are not there yet. ENOENT without the folder itself. May be called again. */
export async function layOut(pool: string): Promise<void> {
  for (const name of poolFolders) await makeFolder(join(pool, name));
}

/** There already is fine; a missing parent is not. */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { mode: 0o700 }).catch((error: unknown) => {
    if (!hasCode(error, "EEXIST")) throw error;
  });
}

/** A folder of its own in `building/`. Gone after a crash, when `recover` has run. */
export async function makeAside(pool: string, kind: string, key: Key, size: number): Promise<Aside> {
  const path = join(pool, "building", `${kind}-${key}-${randomBytes(6).toString("hex")}-${size}`);
  await mkdir(path, { mode: 0o700 });
  return { path, kind, key, size };
}

export async function listAside(pool: string, where: "building" | "trash"): Promise<Aside[]> {
  const names = await readdir(join(pool, where));
  return names.flatMap((name) => {
    const [, kind, key, size] = asidePattern.exec(name) ?? [];
    if (kind === undefined || key === undefined) return [];
    return [{ path: join(pool, where, name), kind, key, size: Number(size) }];
  });
}

/** Gone with all that is in it. May be called twice. Throws while something is mounted in it: that is not ours to remove. */
export async function discardAside(aside: Aside): Promise<void> {
  if (await removedAtOnce(aside.path)) return;
  const mount = (await listMounts()).find((each) => each.target.startsWith(`${aside.path}/`));
  if (mount) throw new Error(`something is mounted at ${mount.target}, so ${aside.path} is left as it is`);
  await removeTree(aside.path);
}

/**
 * The usual case in few steps: files, and folders that are empty. Folders go first: one that holds anything, or that is
 * mounted on, is not removed by rmdir(2), and then nothing else is touched.
 */
async function removedAtOnce(path: string): Promise<boolean> {
  try {
    // Where somebody put a link in a volume's place, the link goes: what it leads to lies outside of the pool.
    if (!(await lstat(path)).isDirectory()) {
      await unlink(path);
      return true;
    }
    const entries = await readdir(path, { withFileTypes: true });
    for (const entry of entries) if (entry.isDirectory()) await rmdir(join(path, entry.name));
    await Promise.all(entries.filter((entry) => !entry.isDirectory()).map((entry) => unlink(join(path, entry.name))));
    await rmdir(path);
    return true;
  } catch (error) {
    return hasCode(error, "ENOENT") && !existsSync(path);
  }
}

/** A file of an aside that is not durable yet: its name, or also open, to be closed by whoever makes it durable. */
export type Part = string | { readonly name: string; readonly fd: number };

export class Shelf<T extends Entry> {
  readonly kind: "volume" | "snapshot";
  readonly #pool: string;
  readonly #folder: string;
  readonly #names: SyncedDirectory;
  readonly #codec: Codec<T>;
  /** Records as they were read, each good only while its file is the same one. */
  readonly #cache = new Map<Key, { readonly identity: string; readonly entry: T; seen: number }>();
  readonly #remote: boolean;

  /** `remote`: looking at a file may have to wait for a server. */
  constructor(pool: string, kind: "volume" | "snapshot", codec: Codec<T>, remote: boolean) {
    this.kind = kind;
    this.#remote = remote;
    this.#pool = pool;
    this.#folder = join(pool, `${kind}s`);
    this.#names = new SyncedDirectory(this.#folder);
    this.#codec = codec;
  }

  path(key: Key, file?: string): string {
    return file === undefined ? `${this.#folder}/${key}` : `${this.#folder}/${key}/${file}`;
  }

  /**
   * Absent: undefined. Throws RECORD_DAMAGED, POOL_NEWER, or POOL_UNAVAILABLE where the pool itself is missing. `likely`
   * absent, it is told so after one look instead of two.
   */
  async find(key: Key, likely?: "absent"): Promise<T | undefined> {
    const settling = this.settled(key);
    if (settling) await settling;
    if (likely === "absent" && !this.#cache.has(key) && !(await isThere(this.path(key)))) {
      await this.#seeMarker();
      return undefined;
    }
    const path = this.path(key, recordName);
    let identity: string;
    try {
      identity = identityOf(this.#isHot(key) ? lstatSync(path, { bigint: true }) : await lstat(path, { bigint: true }));
    } catch (error) {
      this.#cache.delete(key);
      if (hasCode(error, "ELOOP")) throw damaged(path, "its folder is a symbolic link that leads nowhere", error);
      if (!hasCode(error, "ENOENT", "ENOTDIR")) throw error;
      await this.#explainAbsence(key);
      return undefined;
    }
    const cached = this.#cache.get(key);
    if (cached?.identity === identity) {
      cached.seen = performance.now();
      return cached.entry;
    }
    const text = await readIfThere(path);
    if (text === undefined) return undefined;
    const entry = this.#codec.decode(text, path);
    if (entry.key !== key) throw damaged(path, `it says that it is ${entry.key}`);
    this.#remember(key, identity, entry);
    return entry;
  }

  /** The kernel has what was looked at a moment ago in memory, and a look there is shorter than a turn of the threads. */
  #isHot(key: Key): boolean {
    const seen = this.#remote ? undefined : this.#cache.get(key)?.seen;
    return seen !== undefined && performance.now() - seen < hotMs;
  }

  /** "Absent" is only said while the pool is there, and only where no folder without a record stands in the place. */
  async #explainAbsence(key: Key): Promise<void> {
    await this.#seeMarker();
    const there = await lstat(this.path(key)).catch(() => undefined);
    // A remove by another process between the two looks leaves neither.
    if (there && !(await lstat(this.path(key, recordName)).catch(() => undefined))) {
      if (await lstat(this.path(key)).catch(() => undefined)) throw damaged(this.path(key), "the folder has no record");
    }
  }

  async #seeMarker(): Promise<void> {
    const marker = join(this.#pool, "holdfast.json");
    try {
      if (!this.#remote && isRecent(marker)) lstatSync(marker);
      else await lstat(marker);
      noteRecent(marker);
    } catch (error) {
      throw new Problem("POOL_UNAVAILABLE", `the pool ${this.#pool} is not there or has no marker`, { cause: error });
    }
  }

  /**
   * Writes the record into the aside, makes that and its `files` durable, and lets it appear. Nobody sees an aside, so all
   * is written first and synced after: a journal commits it at once. Throws NAME_TAKEN when another was first.
   */
  async appear(aside: Aside, entry: T, files: readonly Part[] = []): Promise<void> {
    const record = this.#codec.encode(entry);
    const parts = [...files.map((part) => openPart(aside.path, part)), openPart(aside.path, ".")];
    try {
      await createDurably(join(aside.path, recordName), record);
      await together(parts.map(async ({ path, opened }) => naming(path, syncFile(await opened))));
    } finally {
      await Promise.all(parts.map(({ opened }) => opened.then(closeSync, () => undefined)));
    }
    const target = this.path(entry.key);
    try {
      await renameNoReplace(aside.path, target);
    } catch (error) {
      if (hasCode(error, "EEXIST", "ENOTEMPTY")) {
        throw new Problem("NAME_TAKEN", `another controller made the ${this.kind} '${entry.name}' at the same time`, {
          cause: error,
          advice: "repeat the request to get it",
        });
      }
      // Network file systems know no RENAME_NOREPLACE; the volume's lock, held across nodes, decides there.
      if (!hasCode(error, "EINVAL", "ENOSYS", "EOPNOTSUPP")) throw error;
      if (await lstat(target).catch(() => undefined)) {
        throw new Problem("NAME_TAKEN", `another controller made the ${this.kind} '${entry.name}' at the same time`);
      }
      await rename(aside.path, target);
    }
    await this.settle();
    if (this.#remote) return;
    // Its first use comes at once, and need not read what was just written.
    const path = this.path(entry.key, recordName);
    try {
      this.#remember(entry.key, identityOf(lstatSync(path, { bigint: true })), this.#codec.decode(record, path));
    } catch {
      // It is there and durable; whoever looks for it next reads it, or says what is wrong.
    }
  }

  /** The record again, with other fields. Durable when it returns. */
  async replace(entry: T): Promise<void> {
    await writeDurably(this.path(entry.key, recordName), this.#codec.encode(entry));
  }

  /**
   * Out of sight; durable after `settle`. Its space comes back when the trash is emptied. Absent is no error: undefined.
   */
  async vanish(entry: T): Promise<Aside | undefined> {
    const path = join(this.#pool, "trash", `${this.kind}-${entry.key}-${randomBytes(6).toString("hex")}-${entry.size}`);
    try {
      await rename(this.path(entry.key), path);
    } catch (error) {
      if (hasCode(error, "ENOENT")) return undefined;
      throw error;
    }
    this.#cache.delete(entry.key);
    return { path, kind: this.kind, key: entry.key, size: entry.size };
  }

  /** What appeared and vanished is so after a power cut too. */
  settle(): Promise<void> {
    return this.#names.sync();
  }

  /** As `settle`, where it failed before, for the entry's own files too; undefined: there is nothing to do. */
  settled(key: Key): Promise<unknown> | undefined {
    return settleDirectories(this.#folder, this.path(key));
  }

  /** Nothing of it stays open. Not while entries appear or vanish. */
  end(): void {
    this.#names.end();
  }

  /** All keys that have a folder, in order. */
  async keys(): Promise<Key[]> {
    const names = await readdir(this.#folder);
    return names.filter((name) => /^[0-9a-f]{32}$/.test(name)).sort();
  }

  #remember(key: Key, identity: string, entry: T): void {
    this.#cache.delete(key);
    this.#cache.set(key, { identity, entry, seen: performance.now() });
    if (this.#cache.size <= cacheLimit) return;
    const oldest = this.#cache.keys().next().value;
    if (oldest !== undefined) this.#cache.delete(oldest);
  }
}

/** Opened for its sync while the record is written. Told when it is needed. */
function openPart(folder: string, part: Part): { readonly path: string; readonly opened: Promise<number> } {
  if (typeof part !== "string") return { path: join(folder, part.name), opened: Promise.resolve(part.fd) };
  const path = join(folder, part);
  const opened = openFile(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  opened.catch(() => undefined);
  return { path, opened };
}

/** False: it is not, by the file system's own word. */
async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

/** Records are replaced by rename, so a changed one is another inode. */
function identityOf(stats: BigIntStats): string {
  return `${stats.ino}:${stats.ctimeNs}:${stats.size}`;
}
