/** Sizes and use of what a volume is, asked in a way that a broken volume cannot hold for ever. */
import { constants } from "node:fs";
import { closeFile, openFile, syncFile } from "./files.ts";
import { statfsAtOnce } from "./fs.ts";
import { abandonable } from "./lane.ts";
import { ioctlBuffer } from "./native.ts";
import { inRoom } from "./share.ts";

const BLKGETSIZE64 = 0x80081272;

export interface FilesystemUsage {
  readonly bytes: { readonly total: number; readonly available: number; readonly used: number };
  /** All 0 on file systems that do not count inodes (btrfs). */
  readonly inodes: { readonly total: number; readonly available: number; readonly used: number };
}

/** statfs(2) of a volume's path. Rejects with a TimeoutError, or the signal's reason; the call itself may go on. */
export async function filesystemUsage(
  path: string,
  options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
): Promise<FilesystemUsage> {
  const limit = AbortSignal.timeout(options.timeoutMs ?? 5000);
  const signal = options.signal ? AbortSignal.any([limit, options.signal]) : limit;
  const s = await abandonable(
    inRoom("mayHang", () => statfsAtOnce(path), signal),
    signal,
  );
  return {
    bytes: { total: s.blocks * s.bsize, available: s.bavail * s.bsize, used: (s.blocks - s.bfree) * s.bsize },
    inodes: { total: s.files, available: s.ffree, used: s.files - s.ffree },
  };
}

/** Bytes of a block device. */
export async function deviceSize(path: string): Promise<number> {
  const fd = await openFile(path, constants.O_RDONLY);
  try {
    const size = Buffer.alloc(8);
    await ioctlBuffer({ syscall: "ioctl(BLKGETSIZE64)", path }, fd, BLKGETSIZE64, size);
    return Number(size.readBigUInt64LE());
  } finally {
    await closeFile(fd);
  }
}

/** What was written through the block device, by whomever, is durable in its file on return. */
export function syncDevice(path: string): Promise<void> {
  return syncFile(path);
}
