/** The newer mount calls, one function each (fsopen(2), open_tree(2), mount_setattr(2), statmount(2)). */
import { type About, AT_FDCWD, call, callAsync, native } from "./native.ts";
import type { Room } from "./share.ts";

const nr = {
  openTree: 428,
  moveMount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  openat2: 437,
  mountSetattr: 442,
  statmount: 457,
};

const sFsopen = native("syscall", "long", ["long", "str", "uint"]);
const sFsconfig = native("syscall", "long", ["long", "int", "uint", "str", "str", "int"]);
const sFsmount = native("syscall", "long", ["long", "int", "uint", "uint64"]);
const sOpenTree = native("syscall", "long", ["long", "int", "str", "uint"]);
const sMoveMount = native("syscall", "long", ["long", "int", "str", "int", "str", "uint"]);
const sMountSetattr = native("syscall", "long", ["long", "int", "str", "uint", "void *", "size_t"]);
const sOpenat2 = native("syscall", "long", ["long", "int", "str", "void *", "size_t"]);
const sStatmount = native("syscall", "long", ["long", "void *", "void *", "size_t", "uint"]);
const cStatx = native("statx", "int", ["int", "str", "int", "uint", "void *"]);
const cUmount2 = native("umount2", "int", ["str", "int"]);

const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_NO_AUTOMOUNT = 0x800;
const AT_EMPTY_PATH = 0x1000;
const AT_STATX_DONT_SYNC = 0x4000;
const MS_PRIVATE = 1 << 18;
const OPEN_TREE_CLOEXEC = 0x80000;

export const MOUNT_ATTR = {
  ro: 0x1,
  nosuid: 0x2,
  nodev: 0x4,
  noexec: 0x8,
  relatime: 0,
  noatime: 0x10,
  strictatime: 0x20,
  nodiratime: 0x80,
} as const;

/** @throws ENODEV when the kernel has no such file system. */
export function fsopen(fsType: string): Promise<number> {
  return callAsync(
    { syscall: "fsopen", doing: `fsopen ${fsType}` },
    "ordinary",
    undefined,
    sFsopen,
    nr.fsopen,
    fsType,
    1,
  );
}

/** Only kept until `fsconfigCreate`, and a flag names no path to look up: neither waits for anything. */
export function fsconfigFlag(fd: number, key: string): void {
  call({ syscall: "fsconfig", doing: `mount option ${key}` }, sFsconfig, nr.fsconfig, fd, 0, key, null, 0);
}

export function fsconfigSource(fd: number, device: string): void {
  call({ syscall: "fsconfig", doing: `mount source ${device}` }, sFsconfig, nr.fsconfig, fd, 1, "source", device, 0);
}

export function fsconfigString(fd: number, key: string, value: string): Promise<number> {
  const about = { syscall: "fsconfig", doing: `mount option ${key}=${value}` };
  return callAsync(about, "ordinary", undefined, sFsconfig, nr.fsconfig, fd, 1, key, value, 0);
}

/** Reads the superblock, replays logs: this is the part of a mount that takes time. */
export function fsconfigCreate(fd: number, about: About): Promise<number> {
  return callAsync(about, "mayHang", undefined, sFsconfig, nr.fsconfig, fd, 6, null, null, 0);
}

/** A mount of what `fsconfigCreate` has read: no disk is asked. */
export function fsmount(fd: number, attributes: number): number {
  return call({ syscall: "fsmount" }, sFsmount, nr.fsmount, fd, 1, attributes);
}

const OPEN_TREE_CLONE = 1;

/** A detached copy of the mount at the path. */
export function openTreeClone(path: string): Promise<number> {
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW;
  return callAsync(
    { syscall: "open_tree", path },
    "ordinary",
    undefined,
    sOpenTree,
    nr.openTree,
    AT_FDCWD,
    path,
    flags,
  );
}

/** A detached copy of what `fd` is open on (O_PATH). No path is looked up and no disk is asked, so it runs on this thread. */
export function cloneOpenTree(fd: number, path: string): number {
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
  return call({ syscall: "open_tree", path }, sOpenTree, nr.openTree, fd, "", flags);
}

/**
 * Attaches a detached mount at the place that `targetFd` is open on (O_PATH). `target` is for the message. No path is looked
 * up and no disk is asked, so it runs on this thread.
 */
export function moveMount(fd: number, targetFd: number, target: string): void {
  const fromEmpty = 0x4;
  const toEmpty = 0x40;
  const about = { syscall: "move_mount", doing: `mount at ${target}`, path: target };
  call(about, sMoveMount, nr.moveMount, fd, "", targetFd, "", fromEmpty | toEmpty);
}

/**
 * Of a mount that nobody sees yet: no disk is asked. Also makes the mount private: it takes part in no propagation but that
 * of the place where it is attached.
 */
export function mountSetattr(fd: number, set: number, clear: number): void {
  const attr = Buffer.alloc(32);
  attr.writeBigUInt64LE(BigInt(set), 0);
  attr.writeBigUInt64LE(BigInt(clear), 8);
  attr.writeBigUInt64LE(BigInt(MS_PRIVATE), 16);
  const about = { syscall: "mount_setattr" };
  call(about, sMountSetattr, nr.mountSetattr, fd, "", AT_EMPTY_PATH, attr, 32);
}

/** `resolve` are RESOLVE_* bits (openat2(2)). */
export function openat2(about: About, dirfd: number, path: string, flags: number, resolve: number): Promise<number> {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags), 0);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  return callAsync(about, "ordinary", undefined, sOpenat2, nr.openat2, dirfd, path, how, 24);
}

/** The same on this thread: only for what was made a moment ago, which the kernel has in memory. */
export function openat2Now(about: About, dirfd: number, path: string, flags: number, resolve: number): number {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags), 0);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  return call(about, sOpenat2, nr.openat2, dirfd, path, how, 24);
}

/**
 * statx(2) of a path, or of what a descriptor is open on, without following a link at the end and without asking a server:
 * offsets as in struct statx.
 */
export async function statx(at: string | number, mask: number, room: Room = "ordinary"): Promise<Buffer> {
  // The kernel fills all of it.
  const buffer = Buffer.allocUnsafe(256);
  const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  const [fd, path, more] = typeof at === "string" ? [AT_FDCWD, at, 0] : [at, "", AT_EMPTY_PATH];
  await callAsync({ syscall: "statx", path }, room, undefined, cStatx, fd, path, flags | more, mask, buffer);
  return buffer;
}

/** The same of an open mount, on this thread: its root is in memory, and no server is asked. */
export function statxNow(fd: number, mask: number): Buffer {
  const buffer = Buffer.allocUnsafe(256);
  call({ syscall: "statx" }, cStatx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, mask, buffer);
  return buffer;
}

/**
 * statmount(2) of a unique mount ID; offsets as in struct statmount. Waits for nothing, so it runs on this thread. The answer is
 * good until the next call.
 */
export function statmount(id: bigint, mask: number): Buffer {
  const request = Buffer.alloc(24);
  request.writeUInt32LE(24, 0);
  request.writeBigUInt64LE(id, 8);
  request.writeBigUInt64LE(BigInt(mask), 16);
  call({ syscall: "statmount" }, sStatmount, nr.statmount, request, mountAnswer, mountAnswer.length, 0);
  return mountAnswer;
}
const mountAnswer = Buffer.alloc(8192);

export function umount2(target: string, flags: number, signal: AbortSignal | undefined): Promise<number> {
  return callAsync({ syscall: "umount", path: target }, "mayHang", signal, cUmount2, target, flags);
}
