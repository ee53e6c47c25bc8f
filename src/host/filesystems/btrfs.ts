/** btrfs on one device, with btrfs-progs. Offsets as in struct btrfs_super_block, which stands at 64 KiB. */
import { constants } from "node:fs";
import { CommandError } from "../command.ts";
import { readHead } from "../device.ts";
import { closeFile, openFile, syncFile } from "../files.ts";
import { access } from "../fs.ts";
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

const BTRFS_IOC_RESIZE = 0x50009403;
const superOffset = 64 * 1024;
/** The device grows in sectors and keeps the rest unused. */
const grain = 1024 * 1024;

async function superblock(device: string) {
  const sb = (await readHead(device, superOffset + 4096)).subarray(superOffset);
  const fsid = sb.toString("hex", 32, 48).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  return { fsid, logRoot: sb.readBigUInt64LE(96), deviceBytes: Number(sb.readBigUInt64LE(209)) };
}

export class BtrfsFilesystem implements Filesystem {
  readonly name = "btrfs";
  /** mkfs.btrfs takes 109 MiB, which leaves hardly any room for data. */
  readonly minimumBytes = 128 * 1024 * 1024;
  readonly growsMounted = true;
  readonly mountFlags = ["discard=sync"];

  async format(device: string, options: FormatOptions): Promise<void> {
    // -K: no discards, which would take a thick volume's reservation and cost a thin one its time.
    await make("mkfs.btrfs", ["-q", "-K"], device, options);
  }

  async needsCheck(_device: string): Promise<boolean> {
    return false;
  }

  /** Only reports: the repairs of btrfs check may lose data. `preen` is what a mount does: it replays the log tree. */
  async check(
    device: string,
    options: ToolOptions & { readonly repair: "none" | "preen" | "full" },
  ): Promise<CheckResult> {
    if (options.repair === "preen") {
      if ((await superblock(device)).logRoot !== 0n) await this.#replay(device, options);
      return { state: "clean" };
    }
    try {
      await runTool("btrfs", ["check", "--readonly", device], options, patientMs);
      return { state: "clean" };
    } catch (error) {
      if (!(error instanceof CommandError) || error.reason !== "exit") throw error;
      return { state: "damaged", text: words(error) };
    }
  }

  async newUuid(device: string, options: ToolOptions): Promise<void> {
    if ((await superblock(device)).logRoot !== 0n) await this.#replay(device, options);
    await runTool("btrfstune", ["-f", "-u", device], options, patientMs);
    await syncFile(device);
  }

  /** Before Linux 6.7, a mount beside one with the same UUID damages both. */
  async #replay(device: string, options: ToolOptions): Promise<void> {
    const { fsid } = await superblock(device);
    const there = (path: string) =>
      access(path).then(
        () => true,
        () => false,
      );
    if ((await there(`/sys/fs/btrfs/${fsid}`)) && !(await there("/sys/fs/btrfs/features/temp_fsid"))) {
      throw new Error(
        `${device} has a log to replay, and this kernel cannot mount it while its twin ${fsid} is mounted`,
      );
    }
    await whileMounted({ device, fsType: this.name, signal: options.signal });
  }

  async growOffline(device: string, options: ToolOptions): Promise<void> {
    if (!(await this.#hasRoom(device))) return;
    const mount = { device, fsType: this.name, signal: options.signal };
    await whileMounted(mount, ({ path }) => this.growOnline(`${path}/.`, device));
    await syncFile(device);
  }

  async growOnline(mountPath: string, device: string): Promise<void> {
    if (!(await this.#hasRoom(device))) return;
    const argument = Buffer.alloc(4096);
    argument.write("max", 8, "latin1");
    const fd = await openFile(mountPath, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await ioctlBuffer(
        { syscall: "ioctl(BTRFS_IOC_RESIZE)", path: mountPath },
        fd,
        BTRFS_IOC_RESIZE,
        argument,
        "mayHang",
      );
    } catch (error) {
      // EINVAL also when there is nothing to add.
      if (!isSystemError(error, "EINVAL") || (await this.#hasRoom(device))) throw error;
    } finally {
      await closeFile(fd);
    }
  }

  async #hasRoom(device: string): Promise<boolean> {
    return (await deviceSize(device)) - (await superblock(device)).deviceBytes >= grain;
  }

  async size(device: string): Promise<number> {
    return (await superblock(device)).deviceBytes;
  }
}
