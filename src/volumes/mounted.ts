/** Whether what is at a path is this volume: asked of the kernel, by device and inode numbers, never by a path it prints. */
import { type BigIntStats, closeSync, statSync } from "node:fs";
import { stat } from "../host/fs.ts";
import { type Mount, mountAt, openMountAt } from "../host/mount-at.ts";
import { listMounts, type MountLine, mountOf } from "../host/mount-table.ts";
import type { StageRecord } from "../pools/node-records.ts";
import type { Place, Pool, Volume } from "../pools/pool.ts";
import { hasCode } from "../pools/record.ts";

export interface Found {
  /** `ours`: this volume. `former`: bytes that it had before a detach by force. `other`: something else is mounted there. */
  readonly what: "nothing" | "ours" | "former" | "other";
  readonly mount?: Mount;
}

export interface OpenFound extends Found {
  readonly fd?: number;
  close(): void;
}

/** What is mounted at `path`, seen as this volume's staging or target path. A missing path is nothing. */
export async function look(pool: Pool, volume: Volume, record: StageRecord | undefined, path: string): Promise<Found> {
  let mount: Mount | undefined;
  try {
    mount = await mountAt(path);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return { what: "nothing" };
    throw error;
  }
  return whose(pool, volume, record, path, mount);
}

/** The same, and what is there stays open (O_PATH) for whoever copies its mount; `close` it. A symlink on the way is nothing. */
export async function lookOpen(pool: Pool, volume: Volume, record: StageRecord, path: string): Promise<OpenFound> {
  let open: Awaited<ReturnType<typeof openMountAt>>;
  try {
    open = await openMountAt(path);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "ELOOP")) return { what: "nothing", close: () => undefined };
    throw error;
  }
  const { fd, mount } = open;
  try {
    return { ...(await whose(pool, volume, record, path, mount)), fd, close: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

async function whose(
  pool: Pool,
  volume: Volume,
  record: StageRecord | undefined,
  path: string,
  mount: Mount | undefined,
): Promise<Found> {
  if (!mount) return { what: "nothing" };
  const place = await pool.opened(volume);
  if (place !== undefined && (await is(pool, place, mount, path, record))) return { what: "ours", mount };
  for (const former of (await pool.former?.(volume)) ?? []) {
    if (await is(pool, former, mount, path, undefined)) return { what: "former", mount };
  }
  return { what: "other", mount };
}

async function is(
  pool: Pool,
  place: Place,
  mount: Mount,
  path: string,
  record: StageRecord | undefined,
): Promise<boolean> {
  if (place.gives === "directory") {
    const here = await identityOf(pool, place.path);
    // Where the file system does not answer, the kernel's list still says what is mounted there: "not ours" would leave it.
    if (here === "unknown" || mount.inode.number === 0n) {
      const mounts = await listMounts();
      const line = mounts.findLast((each) => each.target === path);
      return line !== undefined && belongsTo(place, mounts)(line);
    }
    if (here?.ino !== mount.inode.number) return false;
    return mount.inode.major === major(Number(here.dev)) && mount.inode.minor === minor(Number(here.dev));
  }
  // In memory, always: no turn of the threads.
  const device = statSync(place.device);
  if (mount.device) return mount.device.major === major(device.rdev) && mount.device.minor === minor(device.rdev);
  if (mount.major === major(device.rdev) && mount.minor === minor(device.rdev)) return true;
  // btrfs gives its mounts numbers of their own; the one that was noted when it was mounted is good while the device is.
  if (record && record.fileSystem !== "" && record.fileSystem === fileSystemOf(mount)) return true;
  // A raw target whose device was not told, for the look at it failed, is known by its name in devtmpfs.
  const lines = await listMounts();
  const belongs = belongsTo(place, lines);
  return lines.some(
    (line) => line.target === path && line.major === mount.major && line.minor === mount.minor && belongs(line),
  );
}

/** Undefined: it is not there. */
async function identityOf(pool: Pool, path: string): Promise<BigIntStats | "unknown" | undefined> {
  try {
    return pool.shared ? await stat(path, { bigint: true }) : statSync(path, { bigint: true });
  } catch (error) {
    return hasCode(error, "ENOENT", "ENOTDIR") ? undefined : "unknown";
  }
}

/**
 * Where the volume is mounted in this mount namespace beside `path`, whoever mounted it: the kernel's list, not the node's
 * notes. What only propagation made of the mount at `path` goes with it and does not count.
 */
export async function mountedBeside(place: Place, path: string): Promise<string[]> {
  const mounts = await listMounts();
  const belongs = belongsTo(place, mounts);
  // A pool may mount something of its own where a volume is: that is the volume, not a use of it.
  const own = place.gives === "directory" ? place.path : undefined;
  const ours = mounts.filter((each) => each.target !== own && belongs(each));
  const here = ours.filter((each) => each.target === path);
  return ours.filter((each) => each.target !== path && !isPeer(each, here)).map((each) => each.target);
}

/**
 * Whether what is mounted at `path` has nothing to do with the mounts at `others`: it is none of them, and none that propagation
 * made of one, for unmounting that would unmount the other too (mount_namespaces(7)). No where nothing is mounted at `path`,
 * or a symlink leads to it.
 */
export async function isApart(path: string, others: readonly string[]): Promise<boolean> {
  const mounts = await listMounts();
  const here = mounts.filter((each) => each.target === path);
  if (here.length === 0 || others.includes(path)) return false;
  const there = mounts.filter((each) => others.includes(each.target));
  return !here.some((each) => isPeer(each, there));
}

function belongsTo(place: Place, mounts: readonly MountLine[]): (mount: MountLine) => boolean {
  if (place.gives === "directory") {
    const within = mountOf(place.path, mounts);
    if (!within) return () => false;
    const inside = place.path.slice(within.target === "/" ? 0 : within.target.length);
    const root = within.root === "/" ? inside || "/" : `${within.root}${inside}`;
    return (mount) => mount.major === within.major && mount.minor === within.minor && mount.root === root;
  }
  // In memory, always: no turn of the threads.
  const node = statSync(place.device);
  const name = place.device.slice(place.device.lastIndexOf("/"));
  return (mount) =>
    mount.source === place.device ||
    (mount.major === major(node.rdev) && mount.minor === minor(node.rdev)) ||
    (mount.root === name && mount.major === major(node.dev) && mount.minor === minor(node.dev));
}

/** Whether propagation made one of them and the mount of each other, or both of a third. */
function isPeer(mount: MountLine, others: readonly MountLine[]): boolean {
  const theirs = new Set(others.flatMap(groups));
  return groups(mount).some((group) => theirs.has(group));
}

function groups(mount: MountLine): string[] {
  return mount.propagation.map((tag) => tag.replace(/^(?:shared|master):/, ""));
}

/** As a stage record keeps it. */
export function fileSystemOf(mount: Pick<Mount, "major" | "minor">): string {
  return `${mount.major}:${mount.minor}`;
}

/** makedev(3) taken apart. */
function major(device: number): number {
  return Math.floor(device / 256) % 4096;
}
function minor(device: number): number {
  return (device % 256) + Math.floor(device / 1048576) * 256;
}
