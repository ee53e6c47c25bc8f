/**
 * btrfs subvolumes as volumes: made, copied and removed in constant time, with a limit on what each refers to where the
 * file system counts that (btrfs-subvolume(8), btrfs-qgroup(8); numbers from linux/btrfs.h).
 */
import { constants } from "node:fs";
import { closeFile, openFile } from "./files.ts";
import { readFile, statfs } from "./fs.ts";
import { ioctlBuffer } from "./native.ts";
import { isSystemError } from "./system-error.ts";

const SUBVOL_CREATE = 0x5000940e;
const SNAP_DESTROY = 0x5000940f;
const INO_LOOKUP = 0xd0009412;
const SNAP_CREATE_V2 = 0x50009417;
const FS_INFO = 0x8400941f;
const QGROUP_LIMIT = 0x8030942b;

const magic = 0x9123683e;
const argsSize = 4096;
const rootInode = 256n;
const maxReferenced = 1n;

export async function isBtrfs(folder: string): Promise<boolean> {
  return (await statfs(folder)).type === magic;
}

/** Durable when it returns: the kernel commits the transaction. EEXIST passes. */
export async function createSubvolume(parent: string, name: string): Promise<void> {
  await within(parent, (fd) =>
    ioctlBuffer(
      { syscall: "ioctl(BTRFS_IOC_SUBVOL_CREATE)", path: `${parent}/${name}` },
      fd,
      SUBVOL_CREATE,
      named(8, name),
    ),
  );
}

/** A writable copy of one instant. Durable when it returns. Subvolumes below the source are not in it. */
export function copySubvolume(source: string, parent: string, name: string): Promise<void> {
  return within(source, (from) =>
    within(parent, async (fd) => {
      const args = named(56, name);
      args.writeBigInt64LE(BigInt(from), 0);
      await ioctlBuffer(
        { syscall: "ioctl(BTRFS_IOC_SNAP_CREATE_V2)", path: `${parent}/${name}` },
        fd,
        SNAP_CREATE_V2,
        args,
      );
    }),
  );
}

/** Takes it out of sight at once; the file system gives the space back by itself. False: it is none, or has others below it. */
export async function removeSubvolume(parent: string, name: string): Promise<boolean> {
  try {
    await within(parent, (fd) =>
      ioctlBuffer(
        { syscall: "ioctl(BTRFS_IOC_SNAP_DESTROY)", path: `${parent}/${name}` },
        fd,
        SNAP_DESTROY,
        named(8, name),
      ),
    );
    return true;
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR", "EINVAL", "ENOTEMPTY", "EPERM")) return false;
    throw error;
  }
}

/** Where the file system shows what subvolumes use; undefined: it does not count (btrfs quota enable). */
export async function quotaFolder(folder: string): Promise<string | undefined> {
  const info = Buffer.alloc(1024);
  await within(folder, (fd) => ioctlBuffer({ syscall: "ioctl(BTRFS_IOC_FS_INFO)", path: folder }, fd, FS_INFO, info));
  const hex = info.subarray(16, 32).toString("hex");
  const uuid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  const qgroups = `/sys/fs/btrfs/${uuid}/qgroups`;
  try {
    const enabled = await readFile(`${qgroups}/enabled`, "utf8").catch(async (error: unknown) => {
      // Older kernels have the folder without this file exactly while quotas are on.
      if (!isSystemError(error, "ENOENT")) throw error;
      await statfs(qgroups);
      return "1";
    });
    return enabled.trim() === "1" ? qgroups : undefined;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Writes beyond `bytes` get EDQUOT. Counts what the subvolume refers to, whoever shares it. */
export async function limitSubvolume(path: string, bytes: number): Promise<void> {
  await within(path, async (fd) => {
    const limit = Buffer.alloc(48);
    limit.writeBigUInt64LE(await subvolumeId(fd), 0);
    limit.writeBigUInt64LE(maxReferenced, 8);
    limit.writeBigUInt64LE(BigInt(bytes), 16);
    await ioctlBuffer({ syscall: "ioctl(BTRFS_IOC_QGROUP_LIMIT)", path }, fd, QGROUP_LIMIT, limit);
  });
}

/** Bytes that the subvolume refers to, as of the last commit. */
export async function referencedBytes(qgroups: string, path: string): Promise<number> {
  const id = await within(path, subvolumeId);
  return Number((await readFile(`${qgroups}/0_${id}/referenced`, "utf8")).trim());
}

async function subvolumeId(fd: number): Promise<bigint> {
  const args = Buffer.alloc(argsSize);
  args.writeBigUInt64LE(rootInode, 8);
  await ioctlBuffer({ syscall: "ioctl(BTRFS_IOC_INO_LOOKUP)" }, fd, INO_LOOKUP, args);
  return args.readBigUInt64LE(0);
}

function named(offset: number, name: string): Buffer {
  const args = Buffer.alloc(argsSize);
  args.write(name, offset, "utf8");
  return args;
}

async function within<T>(folder: string, use: (fd: number) => Promise<T>): Promise<T> {
  const fd = await openFile(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    return await use(fd);
  } finally {
    await closeFile(fd);
  }
}
