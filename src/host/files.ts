/**
 * Files that are either not there or whole, and durable when the call returns. The directory is synced too: a rename or
 * link that only the page cache knows is lost by a power cut (rename(2), fsync(2)).
 */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { link, lstat, openFile, readBytes, readdir, rename, syncDescriptor, unlink, writeBytes } from "./fs.ts";
import { AT_FDCWD, fallocate, RENAME_NOREPLACE, renameat2 } from "./native.ts";
import { isSystemError, naming, namingNow } from "./system-error.ts";

export { closeFile, openFile } from "./fs.ts";

let counter = 0;

/** A name beside `path` that nobody else uses. A crash leaves it: see `sweepTemporaries`. */
export function temporaryBeside(path: string): string {
  return join(
    dirname(path),
    `.${basename(path)}.${process.pid}.${Date.now().toString(36)}${(counter++).toString(36)}.tmp`,
  );
}

/**
 * Removes what writers that died left in this folder: temporary files that nobody touched for `olderThanMs`. Others may
 * write there meanwhile, on other nodes too. Answers how many went.
 */
export async function sweepTemporaries(folder: string, olderThanMs = 10 * 60_000): Promise<number> {
  let removed = 0;
  for (const name of await readdir(folder)) {
    if (!name.startsWith(".") || !name.endsWith(".tmp")) continue;
    try {
      const path = join(folder, name);
      if (Date.now() - (await lstat(path)).mtimeMs < olderThanMs) continue;
      await unlink(path);
      removed++;
    } catch (error) {
      if (!isSystemError(error, "ENOENT")) throw error;
    }
  }
  return removed;
}

/**
 * Makes the file (0600), whole, or leaves none. EEXIST when there is one. `durable`: each write returns when its data and
 * the size are on the disk (O_DSYNC, open(2)), which for the one write of a record is one turn less than a sync after it.
 */
async function writeNew(path: string, content: string | Uint8Array, durable: boolean): Promise<void> {
  const fd = await openNew(path, durable);
  try {
    await writeAll(fd, content, path);
  } catch (error) {
    await unlink(path).catch(() => undefined);
    throw error;
  } finally {
    closeSync(fd); // what was to be written is: nothing is left to wait for
  }
}

function openNew(path: string, durable: boolean): Promise<number> {
  const { O_CREAT, O_DSYNC, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  return openFile(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | (durable ? O_DSYNC : 0), 0o600);
}

async function writeAll(fd: number, content: string | Uint8Array, path: string, from = 0): Promise<void> {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  for (let at = 0; at < bytes.length; ) {
    at += (await naming(path, writeBytes(fd, bytes, at, bytes.length - at, from + at))).bytesWritten;
  }
}

/** A new file where nobody looks yet: its content is durable on return, its name is not. EEXIST when there is one. */
export function createDurably(path: string, content: string): Promise<void> {
  return writeNew(path, content, true);
}

/** As `createDurably`, of what means nothing after this boot: a kill may leave the file empty, a power cut anything. */
export function createVolatile(path: string, content: Uint8Array): Promise<void> {
  return writeNew(path, content, false);
}

/**
 * Writes into a file that is there, at this offset. ENOENT, ELOOP, ENXIO: it is not, or is no file. `known`: the kernel has its
 * name in memory, so that opening it waits for nobody. Durable is nothing of it.
 */
export async function rewrite(path: string, content: Uint8Array, at: number, known: boolean): Promise<void> {
  const fd = known ? openSync(path, writing) : await openFile(path, writing);
  try {
    await writeAll(fd, content, path, at);
  } finally {
    closeSync(fd);
  }
}
/** O_NONBLOCK: see `reading`. */
const writing = constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Makes or replaces the file: readers see the old content or the new, and the new is durable on return. Mode 0600. */
export async function writeDurably(path: string, content: string | Uint8Array): Promise<void> {
  const replacement = new Replacement(path, true);
  replacement.fill(content);
  await replacement.place();
}

/**
 * What `writeDurably` does, begun before its moment, so that its steps pass beside other work: the file aside is opened at
 * once, `fill` may be called as soon as the content is known, and only `place` makes it seen. Whoever begins one ends it with
 * `place` or `drop`. A crash leaves the file aside: see `sweepTemporaries`.
 */
export class Replacement {
  readonly #path: string;
  readonly #aside: string;
  readonly #opened: Promise<number>;
  /** The folder, for its sync; undefined: it need not be durable. */
  readonly #folder: Promise<number> | undefined;
  #filled: Promise<void> | undefined;
  #ended = false;

  /** Not `durable`: only for as long as the machine runs; a power cut may leave the old content, none, or nothing. */
  constructor(path: string, durable: boolean) {
    this.#path = path;
    this.#aside = temporaryBeside(path);
    this.#opened = openNew(this.#aside, durable);
    this.#folder = durable ? openFile(dirname(path), constants.O_RDONLY | constants.O_NOFOLLOW) : undefined;
    // Told when they are needed; nobody may ever ask.
    for (const each of [this.#opened, this.#folder]) each?.catch(() => undefined);
  }

  /** Once. `place` waits for it and throws what it throws: ENOENT where the folder is not there. */
  fill(content: string | Uint8Array): void {
    this.#filled = this.#opened.then((fd) => writeAll(fd, content, this.#aside).finally(() => closeSync(fd)));
    this.#filled.catch(() => undefined);
  }

  /** After `fill`. Readers see the new content when this returns, and where it is to be durable a power cut leaves it. */
  async place(): Promise<void> {
    this.#ended = true;
    try {
      await this.#opened;
      await this.#named();
      const folder = await this.#folder;
      const path = dirname(this.#path);
      if (folder !== undefined) await syncDirectory(path, () => naming(path, syncDescriptor(folder)));
    } finally {
      await this.#closeFolder();
    }
  }

  async #named(): Promise<void> {
    try {
      await this.#filled;
      // What can't be synced afterwards must not be seen.
      await this.#folder;
      await rename(this.#aside, this.#path);
    } catch (error) {
      await this.#remove();
      throw error;
    }
  }

  /** Instead of `place`: leaves nothing, whatever came of it so far. After it, it does nothing. */
  async drop(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    const fd = await this.#opened.catch(() => undefined);
    if (this.#filled) await this.#filled.catch(() => undefined);
    else if (fd !== undefined) closeSync(fd);
    if (fd !== undefined) await this.#remove();
    await this.#closeFolder();
  }

  async #closeFolder(): Promise<void> {
    const folder = await this.#folder?.catch(() => undefined);
    if (folder !== undefined) closeSync(folder);
  }

  async #remove(): Promise<void> {
    await unlink(this.#aside).catch(() => undefined);
  }
}

/**
 * Makes the file, whole and durable, or throws EEXIST when there is one: of two callers, on any node, one succeeds.
 * link(2) arbitrates, and where its answer was lost (NFS) the link count of the file aside tells who won.
 */
export async function createExclusively(path: string, content: string | Uint8Array): Promise<void> {
  const aside = temporaryBeside(path);
  await writeNew(aside, content, true);
  try {
    await link(aside, path).catch(async (error: unknown) => {
      if ((await lstat(aside)).nlink !== 2) throw error;
    });
  } finally {
    await unlink(aside).catch(() => undefined);
  }
  await syncDirectory(dirname(path));
}

/** What stands where a file is read that others could have put there: a link, a folder, a pipe, a device, or far too much. */
export class NotPlainFile extends Error {
  /** Completes "it ...". */
  readonly why: string;
  constructor(path: string, why: string) {
    super(`${path} ${why}`);
    this.name = "NotPlainFile";
    this.why = why;
  }
}

/** O_NONBLOCK: a pipe is opened without waiting for whoever writes to it (fifo(7)), to be told from a file then. */
const reading = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** The text of a file of at most `limit` bytes. Waits for nobody but the disk. @throws NotPlainFile, SystemError */
export async function readPlain(path: string, limit: number): Promise<string> {
  const fd = await openFile(path, reading).catch((error: unknown) => {
    throw notPlain(path, error);
  });
  try {
    const bytes = Buffer.allocUnsafe(plainSize(path, fd, limit));
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await naming(path, readBytes(fd, bytes, length, bytes.length - length, length));
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return bytes.toString("utf8", 0, length);
  } finally {
    closeSync(fd); // nothing was written
  }
}

/** As `readPlain`, on this thread: for what the kernel has in memory. */
export function readPlainNow(path: string, limit: number): string {
  let fd: number;
  try {
    fd = openSync(path, reading);
  } catch (error) {
    throw notPlain(path, error);
  }
  try {
    const bytes = Buffer.allocUnsafe(plainSize(path, fd, limit));
    let length = 0;
    while (length < bytes.length) {
      const read = namingNow(path, () => readSync(fd, bytes, length, bytes.length - length, length));
      if (read === 0) break;
      length += read;
    }
    return bytes.toString("utf8", 0, length);
  } finally {
    closeSync(fd);
  }
}

function plainSize(path: string, fd: number, limit: number): number {
  const stats = namingNow(path, () => fstatSync(fd));
  if (!stats.isFile()) throw new NotPlainFile(path, "is not a file");
  if (stats.size > limit)
    throw new NotPlainFile(path, `has ${stats.size} bytes, more than the ${limit} that it can have`);
  return stats.size;
}

function notPlain(path: string, error: unknown): unknown {
  if (isSystemError(error, "ELOOP")) return new NotPlainFile(path, "is a symbolic link");
  // ENXIO: a socket, or a device that nothing stands behind (open(2)).
  return isSystemError(error, "ENXIO", "ENODEV") ? new NotPlainFile(path, "is not a file") : error;
}

/** fsync(2): content and size are durable on return. */
export async function syncFile(file: string | number): Promise<void> {
  if (typeof file === "number") return syncDescriptor(file);
  const fd = await openFile(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    await naming(file, syncDescriptor(fd));
  } finally {
    closeSync(fd);
  }
}

interface Commit {
  running: Promise<void>;
  next: Promise<void> | undefined;
}
const commits = new Map<string, Commit>();
/** Directories whose last sync failed: their names are as they should be, but perhaps not on the disk. */
const unsettled = new Set<string>();

/**
 * Makes the names in a directory durable. Callers that come while a sync of it runs share the next one: the running one
 * may have passed their change already.
 */
export function syncDirectory(path: string, sync: () => Promise<void> = () => syncFile(path)): Promise<void> {
  const commit = commits.get(path);
  const noted = () => noteSettled(path, sync());
  if (!commit) {
    const running = noted();
    follow(path, { running, next: undefined });
    return running;
  }
  commit.next ??= commit.running.then(noted, noted);
  return commit.next;
}

async function noteSettled(path: string, sync: Promise<void>): Promise<void> {
  try {
    await sync;
    unsettled.delete(path);
  } catch (error) {
    // One that is gone has no names to keep.
    if (!isSystemError(error, "ENOENT")) unsettled.add(path);
    throw error;
  }
}

/**
 * Syncs those of the directories again whose last sync failed: before it is said of a name in one that it is there, or is
 * not. A failed call is repeated, and what it left must not pass for durable. Undefined: none of them, as nearly always.
 */
export function settleDirectories(...paths: readonly string[]): Promise<unknown> | undefined {
  if (unsettled.size === 0) return undefined;
  return Promise.all(paths.filter((path) => unsettled.has(path)).map((path) => syncDirectory(path)));
}

function follow(path: string, commit: Commit): void {
  commits.set(path, commit);
  const advance = () => {
    if (commit.next) follow(path, { running: commit.next, next: undefined });
    else commits.delete(path);
  };
  commit.running.then(advance, advance);
}

/** Milliseconds. Short, for what is open keeps its file system from being unmounted. */
const keptMs = 250;

/**
 * A directory that is synced often and that nobody replaces: its descriptor rests open between syncs, so that each is one
 * turn less.
 */
export class SyncedDirectory {
  readonly #path: string;
  #fd: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** As `syncDirectory`. */
  sync(): Promise<void> {
    return syncDirectory(this.#path, () => this.#sync());
  }

  /** Closes what rests. Not during a sync. */
  end(): void {
    clearTimeout(this.#timer);
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** One at a time. */
  async #sync(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      // One that was removed nevertheless has no links any more, and its name may lead to another by now.
      const fd = this.#fd;
      if (fd !== undefined && namingNow(this.#path, () => fstatSync(fd)).nlink === 0) this.end();
      this.#fd ??= await openFile(this.#path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
      await naming(this.#path, syncDescriptor(this.#fd));
    } catch (error) {
      this.end();
      throw error;
    }
    this.#timer = setTimeout(() => this.end(), keptMs).unref();
  }
}

/**
 * rename(2) that never replaces: EEXIST when `to` is there. EINVAL where the file system has no such rename (NFS).
 * Not durable before `syncDirectory` of both parents.
 */
export function renameNoReplace(from: string, to: string): Promise<void> {
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;

/** Reserves blocks for the first `bytes` of the file and makes it at least that long. ENOSPC reserves nothing for sure. */
export async function preallocate(fd: number, bytes: number): Promise<void> {
  await fallocate(fd, 0, 0, bytes);
}

/** Gives the blocks of a range back; it reads as zeros afterwards, and the size stays. */
export async function punch(fd: number, offset: number, bytes: number): Promise<void> {
  await fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);
}
