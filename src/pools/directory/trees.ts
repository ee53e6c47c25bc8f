/**
 * How volumes are made as directories: plain folders on any file system, subvolumes on btrfs. Subvolumes are copied in
 * one instant, and limited to their size where the file system counts what they use.
 */
import { join } from "node:path";
import { filesystemSpace } from "../../host/copies.ts";
import { mkdir } from "../../host/fs.ts";
import {
  copySubvolume,
  createSubvolume,
  isBtrfs,
  limitSubvolume,
  quotaFolder,
  referencedBytes,
  removeSubvolume,
} from "../../host/subvolumes.ts";
import { Problem } from "../problem.ts";
import { hasCode } from "../record.ts";

export interface Trees {
  readonly copies: boolean;
  readonly limits: boolean;
  make(parent: string, name: string, size: number): Promise<void>;
  copy(from: string, parent: string, name: string, size: number): Promise<void>;
  limit(path: string, size: number): Promise<void>;
  /** Takes a whole tree away in constant time where that is possible; what remains is removed file by file. */
  remove(parent: string, name: string): Promise<void>;
  /** Bytes used and still free for the volume; undefined: the file system does not tell them apart. */
  usage(path: string, size: number): Promise<{ readonly used: number; readonly available: number } | undefined>;
}

export async function treesOf(folder: string): Promise<Trees> {
  if (!(await isBtrfs(folder))) return plain;
  return subvolumes(await quotaFolder(folder));
}

const plain: Trees = {
  copies: false,
  limits: false,
  make: async (parent, name) => {
    await mkdir(join(parent, name), { mode: 0o755 });
  },
  copy: () => Promise.reject(new Error("plain directories have no copies")),
  limit: () => Promise.resolve(),
  remove: () => Promise.resolve(),
  usage: () => Promise.resolve(undefined),
};

function subvolumes(quotas: string | undefined): Trees {
  const limit = async (path: string, size: number): Promise<void> => {
    if (quotas !== undefined) await limitSubvolume(path, size);
  };
  return {
    copies: true,
    limits: quotas !== undefined,
    make: async (parent, name, size) => {
      await createSubvolume(parent, name);
      await limit(join(parent, name), size);
    },
    copy: async (from, parent, name, size) => {
      await copySubvolume(from, parent, name).catch((error: unknown) => {
        // EINVAL: a folder that is no subvolume, EXDEV: one of another file system (behind a link in the volume's place).
        if (!hasCode(error, "ENOENT", "ENOTDIR", "ELOOP", "EINVAL", "EXDEV")) throw error;
        throw new Problem("CONTENT_LOST", `${from} is not there, or is not what this pool made`, { cause: error });
      });
      await limit(join(parent, name), size);
    },
    limit,
    remove: async (parent, name) => {
      await removeSubvolume(parent, name);
    },
    usage: async (path, size) => {
      if (quotas === undefined) return undefined;
      const used = await referencedBytes(quotas, path);
      const { available } = await filesystemSpace(path);
      return { used, available: Math.max(0, Math.min(size - used, available)) };
    },
  };
}
