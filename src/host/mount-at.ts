/** What is mounted at a path, in microseconds whatever the number of mounts: statx(2) and statmount(2). */

import { statmount, statx, statxNow } from "./mount-calls.ts";
import { listMounts, type MountLine, mountOf } from "./mount-table.ts";
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
const SB_BASIC = 0x1;
const MNT_BASIC = 0x2;
const MNT_ROOT = 0x8;
const FS_TYPE = 0x20;

/**
 * The topmost mount whose root is exactly at `path`; absent when the path is an ordinary file or directory. A symlink
 * at its end is not followed. ENOENT passes; a missing path is not "nothing mounted".
 */
export async function mountAt(path: string): Promise<Mount | undefined> {
  let x: Buffer;
  try {
    x = await statx(path, STATX_BASIC | STATX_MNT_ID | STATX_MNT_ID_UNIQUE);
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

function fromStatmount(id: bigint, s: Buffer, root: Root): Mount {
  const text = (offset: number) => {
    const start = 512 + s.readUInt32LE(offset);
    return s.subarray(start, s.indexOf(0, start)).toString();
  };
  const attr = s.readBigUInt64LE(64);
  return {
    id,
    root: text(104),
    fsType: text(36),
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
