/**
 * Locks between processes: flock(2) on a file of its own, in which the holder writes what it is doing, so that whoever
 * comes second can say what it waits for. The kernel drops the lock when the holder dies.
 */
import { type BigIntStats, closeSync, constants, fstatSync } from "node:fs";
import { dirname, join } from "node:path";
import { closeFile, NotPlainFile, openFile, readPlain, renameNoReplace } from "./files.ts";
import { lstat, stat, unlink, writeBytes } from "./fs.ts";
import { Lane } from "./lane.ts";
import { listMounts, mountOf } from "./mount-table.ts";
import { tryLock, unlock } from "./native.ts";
import { isSystemError, namingNow } from "./system-error.ts";

export interface FileLock {
  /**
   * Replaces what others read about the holder, a moment later: not durable, it dies with the lock. Waits for nothing, for
   * the disk may hang, and never throws: where it can't be written they read nothing.
   */
  write(text: string): void;
  /** Removes the file, unless `keep`, and lets go. May be called twice. Never throws: whoever waits must not wait for ever. */
  release(options?: { readonly keep?: boolean }): Promise<void>;
  /**
   * Lets go for now: file and descriptor stay, so that `again` costs no look at the disk; the holder's words are gone.
   * False: not possible for this one, which is to be released. Only for local file systems. Does not wait, never throws.
   */
  rest(): boolean;
  /** Takes it again after `rest`. False: another has it, or has removed the file; it is of no more use then. Never throws. */
  again(): boolean;
}

const spares = Array.from({ length: 8 }, (_, index) => `spare-${index}`);
/** Tells a spare from other lock files wherever it is renamed to: those have no permission to execute. */
const spareMode = 0o700;
const lockMode = 0o600;
/** Bytes: what a holder says fits well into this. */
const longestWords = 64 * 1024;

/**
 * Keeps a few lock files ready in a folder, for the time when its file system has no room to make one: what is to be
 * deleted must be locked first. May be called again. ENOSPC passes without an error, and so does what is no file in a spare's place.
 */
export async function keepSpareLocks(folder: string): Promise<void> {
  for (const name of spares) {
    try {
      // A pipe in its place must not let this wait for whoever writes to it (fifo(7)).
      const flags = constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      await closeFile(await openFile(join(folder, name), flags, spareMode));
    } catch (error) {
      // What is no file is no spare: there is one less of them.
      if (!isSystemError(error, "ENOSPC", "EDQUOT", "EISDIR", "ELOOP", "ENXIO")) throw error;
    }
  }
}

/** Makes a spare the lock file that could not be made. False: there is none. */
async function useSpare(path: string): Promise<boolean> {
  // More than once, for one may be put back under a name that was looked at already.
  for (const name of [...spares, ...spares, ...spares]) {
    const spare = join(dirname(path), name);
    if (!(await lstat(spare).catch(() => undefined))?.isFile()) continue;
    try {
      await renameNoReplace(spare, path);
      return true;
    } catch (error) {
      // Another process made the file just now.
      if (isSystemError(error, "EEXIST")) return true;
      if (!isSystemError(error, "ENOENT")) throw error;
    }
  }
  return exists(path);
}

/** False: all the spares are there. */
async function putBack(path: string): Promise<boolean> {
  for (const name of spares) {
    try {
      await renameNoReplace(path, join(dirname(path), name));
      return true;
    } catch (error) {
      if (!isSystemError(error, "EEXIST")) throw error;
    }
  }
  return false;
}

/**
 * Takes the lock or tells what its holder wrote (empty: nothing yet). Never waits. Makes the file if it is missing, of a
 * spare where there is no room for one; its folder must be there (ENOENT). @throws NotPlainFile for a pipe or a device in
 * its place, into which no words must go; EISDIR or ELOOP for a folder or a link
 */
export async function lockFile(path: string): Promise<FileLock | { readonly heldBy: string }> {
  for (;;) {
    let fd: number;
    try {
      fd = await openFile(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, lockMode);
    } catch (error) {
      if (isSystemError(error, "ENOSPC", "EDQUOT") && (await useSpare(path))) continue;
      throw error;
    }
    let mine = false;
    try {
      if (!tryLock(fd, path)) return { heldBy: (await readPlain(path, longestWords).catch(() => "")).trimEnd() };
      // A holder that released in between has unlinked the file that we opened: that lock excludes nobody.
      const stats = namingNow(path, () => fstatSync(fd, { bigint: true }));
      if (!stats.isFile()) throw new NotPlainFile(path, "is not a file");
      mine = await isStill(path, stats);
      if (mine) return held(path, fd, stats);
    } finally {
      if (!mine) closeSync(fd);
    }
  }
}

/** Whether the name still leads to the open file. Only spares are renamed, so of others it is enough that they have a name. */
async function isStill(path: string, mine: BigIntStats): Promise<boolean> {
  try {
    if (mine.nlink === 0n || !isSpare(Number(mine.mode))) return mine.nlink > 0n;
    const there = await stat(path, { bigint: true });
    return there.ino === mine.ino && there.dev === mine.dev;
  } catch (error) {
    // ESTALE: NFS, where another node has removed it.
    if (isSystemError(error, "ENOENT", "ESTALE")) return false;
    throw error;
  }
}

function isSpare(mode: number): boolean {
  return (mode & spareMode) === spareMode;
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/** One write at a time in a folder: where its disk hangs, that is one thread and no more. */
const lanes = new Map<string, Lane>();

function wordsOf(folder: string): Lane {
  const lane = lanes.get(folder) ?? new Lane(1);
  lanes.set(folder, lane);
  return lane;
}

function held(path: string, fd: number, stats: BigIntStats): FileLock {
  let open = true;
  let resting = false;
  const [mode, size] = [Number(stats.mode), Number(stats.size)];
  // A holder that died left its words in the file.
  let longest = size;
  let words = size > 0;
  let wanted: string | undefined;
  let writing: Promise<unknown> | undefined;
  const flush = async () => {
    while (wanted !== undefined) {
      const bytes = Buffer.from(wanted);
      wanted = undefined;
      // Blanks over what was there: xfs lets a truncate wait for the disk.
      const whole = bytes.length < longest ? Buffer.concat([bytes, Buffer.alloc(longest - bytes.length, " ")]) : bytes;
      longest = whole.length;
      // Not written: a full disk, or one that became read-only or broken: the lock holds all the same.
      await wordsOf(dirname(path)).run(() => writeBytes(fd, whole, 0, whole.length, 0).catch(() => undefined));
    }
  };
  /** Not while something is written: the number would be another file's by then. */
  const close = () => {
    const end = () => closeSync(fd);
    if (writing) void writing.then(end);
    else end();
  };
  const take = () => {
    try {
      // Others remove the file only while they hold it. Spares, which are renamed, never rest.
      return tryLock(fd, path) && fstatSync(fd).nlink > 0;
    } catch {
      return false;
    }
  };
  const lock: FileLock = {
    write(text) {
      if (!open || resting) return;
      words = text !== "";
      wanted = text;
      writing ??= flush().finally(() => {
        writing = undefined;
      });
    },
    rest() {
      if (!open || resting || isSpare(mode)) return false;
      if (words) lock.write("");
      try {
        unlock(fd);
        resting = true;
      } catch {
        // It is held then, until it is released.
      }
      return resting;
    },
    again() {
      if (!open || !resting) return false;
      resting = false;
      if (take()) return true;
      open = false;
      close();
      return false;
    },
    async release(options = {}) {
      // Whoever has it meanwhile removes the file.
      if (!open || (resting && !lock.again())) return;
      open = false;
      try {
        // Put back before the lock goes: whoever has it open as this file then sees that it is none any more.
        if (!options.keep && !(isSpare(mode) && (await putBack(path)))) await unlink(path);
      } catch (error) {
        // Gone already, or not to be removed now: a file without a lock is harmless, but nobody else would remove it.
        if (!isSystemError(error, "ENOENT", "ENOTDIR", "EROFS")) removeLater(path);
      } finally {
        letGo(fd, close);
      }
    },
  };
  return lock;
}

const removeAgainMs = 1000;

/** Tries a few times, seldomer each time, to remove a lock file that nobody holds; the next start finds what is left then. */
function removeLater(path: string, tries = 1): void {
  const again = async () => {
    const fd = await openFile(path, constants.O_RDWR | constants.O_NOFOLLOW);
    try {
      if (!tryLock(fd, path)) return; // its holder removes it
      if (await isStill(path, fstatSync(fd, { bigint: true }))) await unlink(path);
    } finally {
      letGo(fd);
    }
  };
  const failed = (error: unknown) => {
    if (!isSystemError(error, "ENOENT") && tries < 8) removeLater(path, tries + 1);
  };
  setTimeout(() => void again().catch(failed), removeAgainMs * 2 ** (tries - 1)).unref();
}

/**
 * Closing alone would leave it locked for as long as a child that is being started at this moment has a copy of the
 * descriptor: until its exec.
 */
function letGo(fd: number, close = () => closeSync(fd)): void {
  try {
    unlock(fd);
  } catch {
    // The close does it.
  } finally {
    close();
  }
}

/** Takes the lock that a loop device would keep on this data file; absent: somebody has it. ENOENT passes. */
export async function lockData(path: string): Promise<{ release(): void } | undefined> {
  const fd = await openFile(path, constants.O_RDWR | constants.O_NOFOLLOW);
  if (tryLock(fd, path)) return { release: () => letGo(fd) };
  await closeFile(fd);
  return undefined;
}

/**
 * Whether anybody holds a flock on this data file, for example a loop device that carries it. It takes the lock for an
 * instant, so another prober at that moment may be told yes wrongly. ENOENT passes.
 */
export async function isLocked(path: string): Promise<boolean> {
  const fd = await openFile(path, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    return !tryLock(fd, path);
  } finally {
    letGo(fd); // at once: until then others are told that it is locked
  }
}

/**
 * Whether flock in this folder reaches the other nodes that mount the same file system: absent yes, else the reason why
 * not. NFS keeps it on the node with `nolock`, and with `local_lock=flock` or `all` (nfs(5)).
 */
export async function flockStaysLocal(folder: string): Promise<string | undefined> {
  const mount = mountOf(folder, await listMounts());
  if (!mount || !/^nfs4?$/.test(mount.fsType)) return undefined;
  const option = mount.superOptions.split(",").find((o) => o === "nolock" || /^local_lock=(flock|all)$/.test(o));
  return option === undefined ? undefined : `${mount.target} is NFS mounted with ${option}`;
}
