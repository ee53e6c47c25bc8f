/** Target paths come from outside: no step of them may be a symlink, and nothing is ever removed below them. */
import { closeSync, constants, fstatSync } from "node:fs";
import { constants as os } from "node:os";
import { basename, dirname } from "node:path";
import { openFile } from "./files.ts";
import { mkdir, rmdir, unlink } from "./fs.ts";
import { openat2, openat2Now } from "./mount-calls.ts";
import { AT_FDCWD } from "./native.ts";
import { isSystemError, namingNow, SystemError } from "./system-error.ts";

/** Names a place without opening what is there; the same number on x86-64 and arm64. */
export const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_CACHED = 0x20;

/**
 * Opens an absolute path; ELOOP when any step is a symlink, the last one included. The caller closes the descriptor.
 * `flags` are O_* of fs.constants; O_CLOEXEC is added. With O_PATH it takes no turn of the threads where the kernel has the
 * whole path in memory.
 */
export async function openWithoutSymlinks(path: string, flags: number): Promise<number> {
  const known = (flags & O_PATH) === 0 ? undefined : openCached(path, flags, RESOLVE_NO_SYMLINKS);
  if (known !== undefined) return known;
  const about = { syscall: "open", path };
  return openat2(about, AT_FDCWD, path, flags | O_CLOEXEC, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

/**
 * Opens a place (O_PATH) on this thread if that asks no disk and no server: the kernel looks only at what it has in memory
 * (RESOLVE_CACHED, Linux 5.12). Absent: it would have to ask, or there is something about the path that whoever may wait shall find out.
 */
export function openCached(path: string, flags: number, resolve = 0): number | undefined {
  try {
    const how = resolve | RESOLVE_CACHED | RESOLVE_NO_MAGICLINKS;
    return openat2Now({ syscall: "open", path }, AT_FDCWD, path, flags | O_PATH | O_CLOEXEC, how);
  } catch {
    return undefined;
  }
}

/**
 * A target path whose folder is being opened while other things are done; what is wrong with that folder is told by whoever
 * uses it first. Whoever made one closes it.
 */
export class TargetPlace {
  readonly path: string;
  readonly #parent: Promise<number>;

  constructor(path: string) {
    this.path = path;
    this.#parent = openWithoutSymlinks(dirname(path), O_PATH | constants.O_DIRECTORY);
    this.#parent.catch(() => undefined);
  }

  /** False where something is surely there, or its folder can't be used; asks no disk and no server. */
  async seemsFree(): Promise<boolean> {
    try {
      await this.#parent;
    } catch {
      return false;
    }
    const there = openCached(this.path, constants.O_NOFOLLOW);
    if (there !== undefined) closeSync(there);
    return there === undefined;
  }

  /**
   * Makes the directory (0750), or an empty file (0600) for a device to be mounted on, and opens it (O_PATH); the caller
   * closes it. Absent: something of that name is there.
   */
  async make(what: "directory" | "file"): Promise<number | undefined> {
    const { path } = this;
    const within = await this.#within();
    try {
      if (what === "directory") await mkdir(within, 0o750);
      else closeSync(await openFile(within, newFile, 0o600));
    } catch (error) {
      if (!isSystemError(error, "EEXIST")) throw error;
      return undefined;
    }
    const about = { syscall: "open", path };
    return openat2Now(about, await this.#parent, basename(path), O_PATH | O_CLOEXEC, RESOLVE_NO_SYMLINKS);
  }

  /** What is there, open (O_PATH); the caller closes it. ENOTDIR, EISDIR, ELOOP: it is something else. */
  async open(what: "directory" | "file"): Promise<number> {
    if (what === "directory") return openWithoutSymlinks(this.path, O_PATH | constants.O_DIRECTORY);
    const there = await openWithoutSymlinks(this.path, O_PATH);
    let mine = false;
    try {
      mine = !namingNow(this.path, () => fstatSync(there)).isDirectory();
      if (mine) return there;
    } finally {
      if (!mine) closeSync(there);
    }
    throw new SystemError(os.errno.EISDIR, "open", { path: this.path });
  }

  /** As `removeTarget`. */
  async remove(): Promise<void> {
    try {
      const within = await this.#within();
      await rmdir(within).catch((error: unknown) => {
        if (!isSystemError(error, "ENOTDIR")) throw error;
        return unlink(within);
      });
    } catch (error) {
      if (!isSystemError(error, "ENOENT")) throw error;
    }
  }

  /** As `removeEmptyDirectory`. */
  async removeEmptyDirectory(): Promise<boolean> {
    try {
      await rmdir(await this.#within());
      return true;
    } catch {
      return false;
    }
  }

  async close(): Promise<void> {
    const parent = await this.#parent.catch(() => undefined);
    if (parent !== undefined) closeSync(parent);
  }

  async #within(): Promise<string> {
    return `/proc/self/fd/${await this.#parent}/${basename(this.path)}`;
  }
}

const newFile = constants.O_CREAT | constants.O_EXCL | constants.O_RDWR | constants.O_NOFOLLOW;

async function at<T>(path: string, use: (place: TargetPlace) => Promise<T>): Promise<T> {
  const place = new TargetPlace(path);
  try {
    return await use(place);
  } finally {
    await place.close();
  }
}

/**
 * Makes the directory (0750) if it is missing, and opens it (O_PATH); the caller closes it. Its parent must be there
 * (ENOENT). ENOTDIR, ELOOP: something else is.
 */
export function makeTargetDirectory(path: string): Promise<number> {
  return at(path, async (place) => (await place.make("directory")) ?? place.open("directory"));
}

/** Makes an empty file (0600) for a device to be mounted on, if it is missing; else as above. A directory there is EISDIR. */
export function makeTargetFile(path: string): Promise<number> {
  return at(path, async (place) => (await place.make("file")) ?? place.open("file"));
}

/**
 * Removes the empty directory or the file at a target path. What is missing already is fine. ENOTEMPTY and EBUSY (still
 * mounted) pass, as does ELOOP for a step that is a symlink: nothing is removed recursively, ever.
 */
export function removeTarget(path: string): Promise<void> {
  return at(path, (place) => place.remove());
}

/** The quick way for what nearly always is there. False: it is something else, not there, in use, or behind a symlink. */
export function removeEmptyDirectory(path: string): Promise<boolean> {
  return at(path, (place) => place.removeEmptyDirectory());
}
