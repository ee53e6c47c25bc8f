/** What is mounted at a path, in microseconds whatever the number of mounts: statx(2) and statmount(2). */

import { closeSync, constants } from "node:fs";
import { statmount, statx, statxNow } from "./mount-calls.ts";
import { listMounts, type MountLine, mountOf } from "./mount-table.ts";
import { O_PATH, openCached, openWithoutSymlinks } from "./paths.ts";
import { isSystemError, SystemError } from "./system-error.ts";

export interface Mount {
  /** Unique while the machine runs, where the kernel has such IDs (6.8); else reused. */
  readonly id: bigint;
  /** The part of the file system that is mounted: `/` or, for a bind mount, what lies at the path, as `/loop3`. */
  readonly root: string;
  readonly fsType: string;
  /** Device number of the file system. */
  readonly major: number;
  readonly minor: number;
  /** Whether writing through this mount is refused: by the mount itself or by its file system. */
  readonly readonly: boolean;
  /** Of this mount, sorted: `noatime`, `nodev`, `noexec`, `nosuid`, `ro` ... */
  readonly flags: readonly string[];
  /**
   * Of its root, as stat(2) gives them: not `major` and `minor` on file systems with several trees (btrfs). Zeros for a
   * file system that is broken.
   */
  readonly inode: { readonly major: number; readonly minor: number; readonly number: bigint };
  /** Where a device node is mounted (a raw block volume): the device that it stands for. */
  readonly device: { readonly major: number; readonly minor: number } | undefined;
}

const STATX_MNT_ID_UNIQUE = 0x4000;
const STATX_MNT_ID = 0x1000;
const STATX_BASIC = 0x7ff;
const STATX_ATTR_MOUNT_ROOT = 0x2000n;
const wanted = STATX_BASIC | STATX_MNT_ID | STATX_MNT_ID_UNIQUE;
const SB_BASIC = 0x1;
const MNT_BASIC = 0x2;
const MNT_ROOT = 0x8;
const FS_TYPE = 0x20;

/**
 * The topmost mount whose root is exactly at `path`; absent when the path is an ordinary file or directory. A symlink
 * at its end is not followed. ENOENT passes; a missing path is not "nothing mounted".
 */
export async function mountAt(path: string): Promise<Mount | undefined> {
  const fd = openCached(path, constants.O_NOFOLLOW);
  if (fd === undefined) return described(path, () => statx(path, wanted));
  try {
    return await described(path, () => statxOpen(fd));
  } finally {
    closeSync(fd);
  }
}

/**
 * The same of an absolute path without symlinks, which stays open (O_PATH) whatever is there: what is asked of the descriptor afterwards
 * is asked of what was looked at. The caller closes it. Beside the errors of `mountAt`: ELOOP.
 */
export async function openMountAt(path: string): Promise<{ readonly fd: number; readonly mount: Mount | undefined }> {
  const fd = await openWithoutSymlinks(path, O_PATH);
  try {
    return { fd, mount: await described(path, () => statxOpen(fd)) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** File systems of this machine that answer for what is open from memory; any other may ask a server, or a process that hangs. */
const answersAtOnce = new Set(["ext4", "xfs", "btrfs", "tmpfs", "devtmpfs"]);

/** statx(2) of what is open (O_PATH): on this thread where nothing has to be waited for. */
async function statxOpen(fd: number): Promise<Buffer> {
  // Of the mount alone, which the kernel knows without its file system.
  const x = statxNow(fd, STATX_MNT_ID_UNIQUE);
  if ((x.readUInt32LE(0) & STATX_MNT_ID_UNIQUE) === 0) return statx(fd, wanted);
  const root = (x.readBigUInt64LE(8) & STATX_ATTR_MOUNT_ROOT) !== 0n;
  if (!root) return x;
  return answersAtOnce.has(fsTypeOf(x.readBigUInt64LE(144))) ? statxNow(fd, wanted) : statx(fd, wanted);
}

/** Empty: it is not told. */
function fsTypeOf(mount: bigint): string {
  try {
    return text(statmount(mount, FS_TYPE), 36);
  } catch {
    return "";
  }
}

async function described(path: string, ask: () => Promise<Buffer>): Promise<Mount | undefined> {
  let x: Buffer;
  try {
    x = await ask();
  } catch (error) {
    // A file system that shut down, or whose server is gone, answers for nothing any more; it is mounted all the same.
    const broken = isSystemError(error, "EIO", "ESTALE", "ENOTCONN", "ESHUTDOWN", "EUCLEAN", "ENODEV", "EHOSTDOWN");
    const line = broken ? (await listMounts()).findLast((each) => each.target === path) : undefined;
    if (!line) throw error;
    return fromLine(line, { device: undefined, inode: { major: 0, minor: 0, number: 0n } });
  }
  if ((x.readBigUInt64LE(8) & STATX_ATTR_MOUNT_ROOT) === 0n) return undefined;
  const isBlock = (x.readUInt16LE(28) & 0o170000) === 0o060000;
  const device = isBlock ? { major: x.readUInt32LE(128), minor: x.readUInt32LE(132) } : undefined;
  const inode = { major: x.readUInt32LE(136), minor: x.readUInt32LE(140), number: x.readBigUInt64LE(32) };
  const id = x.readBigUInt64LE(144);
  if ((x.readUInt32LE(0) & STATX_MNT_ID_UNIQUE) !== 0) {
    try {
      return fromStatmount(id, statmount(id, SB_BASIC | MNT_BASIC | MNT_ROOT | FS_TYPE), { device, inode });
    } catch (error) {
      // ENOENT: unmounted since. Older kernels have no such call, and a seccomp filter may not know it.
      if (isSystemError(error, "ENOENT")) return mountAt(path);
      if (!isSystemError(error, "ENOSYS", "EPERM")) throw error;
    }
  }
  return fromTable(path, { device, inode });
}

/**
 * The device number of the file system of a mount, which `fd` is open on. Absent: this kernel tells it by paths only. Waits for
 * nothing.
 */
export function fileSystemNumber(fd: number): { readonly major: number; readonly minor: number } | undefined {
  const x = statxNow(fd, STATX_MNT_ID | STATX_MNT_ID_UNIQUE);
  if ((x.readUInt32LE(0) & STATX_MNT_ID_UNIQUE) === 0) return undefined;
  try {
    const s = statmount(x.readBigUInt64LE(144), SB_BASIC);
    return { major: s.readUInt32LE(16), minor: s.readUInt32LE(20) };
  } catch (error) {
    if (!isSystemError(error, "ENOENT", "ENOSYS", "EPERM")) throw error;
    return undefined;
  }
}

const attributes: readonly (readonly [bigint, string])[] = [
  [0x1n, "ro"],
  [0x2n, "nosuid"],
  [0x4n, "nodev"],
  [0x8n, "noexec"],
  [0x10n, "noatime"],
  [0x20n, "strictatime"],
  [0x80n, "nodiratime"],
];

type Root = Pick<Mount, "device" | "inode">;

/** A text of struct statmount, whose place stands at `offset`. */
function text(s: Buffer, offset: number): string {
  const start = 512 + s.readUInt32LE(offset);
  return s.subarray(start, s.indexOf(0, start)).toString();
}

function fromStatmount(id: bigint, s: Buffer, root: Root): Mount {
  const attr = s.readBigUInt64LE(64);
  return {
    id,
    root: text(s, 104),
    fsType: text(s, 36),
    major: s.readUInt32LE(16),
    minor: s.readUInt32LE(20),
    readonly: (attr & 1n) !== 0n || (s.readUInt32LE(32) & 1) !== 0,
    flags: attributes.flatMap(([bit, name]) => ((attr & bit) !== 0n ? [name] : [])).sort(),
    ...root,
  };
}

async function fromTable(path: string, root: Root): Promise<Mount | undefined> {
  const line = mountOf(path, await listMounts());
  if (!line) return undefined;
  if (line.target !== path) throw new SystemError(22, "mountinfo", { path, detail: "not a path without symlinks" });
  return fromLine(line, root);
}

function fromLine(line: MountLine, root: Root): Mount {
  const known = new Set(attributes.map(([, name]) => name));
  const flags = line.options.split(",").filter((name) => known.has(name));
  return {
    id: BigInt(line.id),
    root: line.root,
    fsType: line.fsType,
    major: line.major,
    minor: line.minor,
    readonly: flags.includes("ro") || line.superOptions.split(",").includes("ro"),
    flags: flags.sort(),
    ...root,
  };
}
