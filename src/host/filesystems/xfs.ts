/** xfs, with xfsprogs. Its log is replayed by the kernel at every mount. Offsets as in struct xfs_dsb, big-endian. */
import { constants } from "node:fs";
import { CommandError } from "../command.ts";
import { readHead } from "../device.ts";
import { closeFile, openFile, syncFile } from "../files.ts";
import { ioctlBuffer } from "../native.ts";
import { deviceSize } from "../stats.ts";
import { isSystemError } from "../system-error.ts";
import type { Filesystem } from "./interface.ts";
import {
  type CheckResult,
  type FormatOptions,
  make,
  patientMs,
  runTool,
  type ToolOptions,
  whileMounted,
  words,
} from "./tools.ts";

const XFS_IOC_FSGROWFSDATA = 0x4010586e;

async function geometry(device: string) {
  const sb = await readHead(device, 512);
  return { blockSize: sb.readUInt32BE(4), blocks: Number(sb.readBigUInt64BE(8)), inodePercent: sb.readUInt8(127) };
}

export class XfsFilesystem implements Filesystem {
  readonly name = "xfs";
  /** mkfs.xfs refuses less. */
  readonly minimumBytes = 300 * 1024 * 1024;
  readonly growsMounted = true;
  readonly mountFlags = ["discard"];

  async format(device: string, options: FormatOptions): Promise<void> {
    // -K: no discards, which would take a thick volume's reservation and cost a thin one its time.
    await make("mkfs.xfs", ["-q", "-K"], device, options);
  }

  async needsCheck(_device: string): Promise<boolean> {
    return false;
  }

  /** Only reports: xfs_repair would have to throw a dirty log away, which may lose data. */
  async check(
    device: string,
    options: ToolOptions & { readonly repair: "none" | "preen" | "full" },
  ): Promise<CheckResult> {
    if (options.repair !== "none") {
      // A mount replays the log; what it cannot replay is damage.
      try {
        await whileMounted({ device, fsType: this.name, flags: ["nouuid"], signal: options.signal });
      } catch (error) {
        if (!isSystemError(error, "EUCLEAN", "EIO", "EBADMSG")) throw error;
        return { state: "damaged", text: error.message };
      }
      if (options.repair === "preen") return { state: "clean" };
    }
    try {
      await runTool("xfs_repair", ["-n", device], options, patientMs);
      return { state: "clean" };
    } catch (error) {
      // xfs_repair(8): with -n, 1 means corruption.
      if (!(error instanceof CommandError) || error.exitCode !== 1) throw error;
      return { state: "damaged", text: words(error) };
    }
  }

  async newUuid(device: string, options: ToolOptions): Promise<void> {
    // The log carries the old UUID: it must be empty, so a mount replays it first.
    await whileMounted({ device, fsType: this.name, flags: ["nouuid"], signal: options.signal });
    const change = ["-U", "generate", device];
    await runTool("xfs_admin", change, options);
    await syncFile(device);
    try {
      await whileMounted({ device, fsType: this.name, signal: options.signal });
    } catch (error) {
      if (!isSystemError(error)) throw error;
      // It ends with 0 though a write of it failed. This is still a copy that nobody has seen.
      throw new CommandError("xfs_admin", change, "exit", `it ended with 0, then: ${error.message}`, { cause: error });
    }
  }

  async growOffline(device: string, options: ToolOptions): Promise<void> {
    const { blockSize, blocks } = await geometry(device);
    if (Math.floor((await deviceSize(device)) / blockSize) <= blocks) return;
    const mount = { device, fsType: this.name, flags: ["nouuid"], signal: options.signal };
    await whileMounted(mount, ({ path }) => this.growOnline(`${path}/.`, device));
    await syncFile(device);
  }

  async growOnline(mountPath: string, device: string): Promise<void> {
    const { blockSize, blocks, inodePercent } = await geometry(device);
    const there = Math.floor((await deviceSize(device)) / blockSize);
    if (there <= blocks) return;
    const argument = Buffer.alloc(16);
    argument.writeBigUInt64LE(BigInt(there), 0);
    argument.writeUInt32LE(inodePercent, 8);
    const fd = await openFile(mountPath, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      const about = { syscall: "ioctl(XFS_IOC_FSGROWFSDATA)", path: mountPath };
      await ioctlBuffer(about, fd, XFS_IOC_FSGROWFSDATA, argument, "mayHang");
    } finally {
      await closeFile(fd);
    }
  }

  async size(device: string): Promise<number> {
    const { blockSize, blocks } = await geometry(device);
    return blockSize * blocks;
  }
}
