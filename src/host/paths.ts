/** Target paths come from outside: no step of them may be a symlink, and nothing is ever removed below them. */
import { closeSync, constants, fstatSync, mkdirSync, openSync } from "node:fs";
import { rmdir, unlink } from "node:fs/promises";
import { constants as os } from "node:os";
import { basename, dirname } from "node:path";
import { openat2, openat2Now } from "./mount-calls.ts";
import { AT_FDCWD } from "./native.ts";
import { isSystemError, SystemError } from "./system-error.ts";

/** Names a place without opening what is there; the same number on x86-64 and arm64. */
export const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_SYMLINKS = 0x04;

/**
 * Opens an absolute path; ELOOP when any step is a symlink, the last one included. The caller closes the descriptor.
 * `flags` are O_* of fs.constants; O_CLOEXEC is added.
 */
export function openWithoutSymlinks(path: string, flags: number): Promise<number> {
  const about = { syscall: "open", path };
  return openat2(about, AT_FDCWD, path, flags | O_CLOEXEC, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

/** Opens what was made (O_PATH). Absent: something of that name was there. */
async function inParent(path: string, make: (within: string) => void): Promise<number | undefined> {
  const parent = await openWithoutSymlinks(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    make(`/proc/self/fd/${parent}/${basename(path)}`);
    return openat2Now({ syscall: "open", path }, parent, basename(path), O_PATH | O_CLOEXEC, RESOLVE_NO_SYMLINKS);
  } catch (error) {
    if (!isSystemError(error, "EEXIST")) throw error;
    return undefined;
  } finally {
    closeSync(parent);
  }
}

/**
 * Makes the directory (0750) if it is missing, and opens it (O_PATH); the caller closes it. Its parent must be there
 * (ENOENT). ENOTDIR, ELOOP: something else is.
 */
export async function makeTargetDirectory(path: string): Promise<number> {
  const made = await inParent(path, (within) => mkdirSync(within, 0o750));
  return made ?? openWithoutSymlinks(path, O_PATH | constants.O_DIRECTORY);
}

/** Makes an empty file (0600) for a device to be mounted on, if it is missing; else as above. A directory there is EISDIR. */
export async function makeTargetFile(path: string): Promise<number> {
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_RDWR | constants.O_NOFOLLOW;
  const made = await inParent(path, (within) => closeSync(openSync(within, flags, 0o600)));
  if (made !== undefined) return made;
  const there = await openWithoutSymlinks(path, O_PATH);
  if (!fstatSync(there).isDirectory()) return there;
  closeSync(there);
  throw new SystemError(os.errno.EISDIR, "open", { path });
}

/**
 * Removes the empty directory or the file at a target path. What is missing already is fine. ENOTEMPTY and EBUSY (still
 * mounted) pass, as does ELOOP for a step that is a symlink: nothing is removed recursively, ever.
 */
export async function removeTarget(path: string): Promise<void> {
  try {
    await withParent(path, (within) =>
      rmdir(within).catch((error: unknown) => {
        if (!isSystemError(error, "ENOTDIR")) throw error;
        return unlink(within);
      }),
    );
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error;
  }
}

/** The quick way for what nearly always is there. False: it is something else, not there, in use, or behind a symlink. */
export function removeEmptyDirectory(path: string): Promise<boolean> {
  return withParent(path, rmdir).then(
    () => true,
    () => false,
  );
}

async function withParent(path: string, remove: (within: string) => Promise<void>): Promise<void> {
  const parent = await openWithoutSymlinks(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await remove(`/proc/self/fd/${parent}/${basename(path)}`);
  } finally {
    closeSync(parent);
  }
}
