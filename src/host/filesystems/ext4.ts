/** ext4, with e2fsprogs. Offsets as in struct ext4_super_block, which stands at byte 1024. */
import { constants } from "node:fs";
import { CommandError } from "../command.ts";
import { readHead } from "../device.ts";
import { closeFile, openFile, syncFile } from "../files.ts";
import { ioctlBuffer } from "../native.ts";
import { deviceSize } from "../stats.ts";
import { isSystemError, SystemError } from "../system-error.ts";
import type { Filesystem } from "./interface.ts";
import {
  type CheckResult,
  DamagedFilesystem,
  type FormatOptions,
  patientMs,
  prepareForFormat,
  runDurably,
  runTool,
  type ToolOptions,
  words,
} from "./tools.ts";

const EXT4_IOC_RESIZE_FS = 0x40086610;
const MiB = 1024 * 1024;

async function superblock(device: string): Promise<Buffer> {
  return (await readHead(device, 2048)).subarray(1024);
}

function geometry(sb: Buffer): { readonly blockSize: number; readonly blocks: number } {
  const wide = (sb.readUInt32LE(0x60) & 0x80) !== 0;
  return {
    blockSize: 1024 << sb.readUInt32LE(0x18),
    blocks: sb.readUInt32LE(0x04) + (wide ? sb.readUInt32LE(0x150) * 2 ** 32 : 0),
  };
}

export class Ext4Filesystem implements Filesystem {
  readonly name = "ext4";
  /** Below 2 MiB mkfs makes no journal. */
  readonly minimumBytes = 4 * MiB;
  readonly growsMounted = false;
  readonly mountFlags = ["discard"];

  async format(device: string, options: FormatOptions): Promise<void> {
    await prepareForFormat(device, options);
    const label = options.label === undefined ? [] : ["-L", options.label];
    const given = [...(options.options ?? [])];
    // With a checksum seed of its own, a copy gets a new UUID without a rewrite of all metadata.
    const features = joined(given, "-O", ["metadata_csum_seed"], /\^metadata_csum|none/);
    const lazy = ["nodiscard", "lazy_itable_init=1", ...(options.fresh ? ["lazy_journal_init=1"] : [])];
    const make = (keys: readonly string[]) =>
      runDurably("mkfs.ext4", ["-q", ...label, ...joined(features, "-E", keys)], device, options);
    try {
      // On zeros, the kernel need not zero the inode tables after the mount either (e2fsprogs 1.47).
      await make(options.fresh ? [...lazy, "assume_storage_prezeroed=1"] : lazy);
    } catch (error) {
      const old = error instanceof CommandError && /specified:.*assume_storage_prezeroed/.test(error.stderr);
      if (!options.fresh || !old) throw error;
      await make(lazy);
    }
  }

  async needsCheck(device: string): Promise<boolean> {
    const sb = await superblock(device);
    const state = sb.readUInt16LE(0x3a);
    const needsRecovery = (sb.readUInt32LE(0x60) & 0x4) !== 0;
    return needsRecovery || (state & 1) === 0 || (state & 2) !== 0;
  }

  async check(
    device: string,
    options: ToolOptions & { readonly repair: "none" | "preen" | "full" },
  ): Promise<CheckResult> {
    const args = { none: ["-f", "-n"], preen: ["-p"], full: ["-f", "-y"] }[options.repair];
    try {
      await runTool("e2fsck", [...args, device], options, patientMs);
      return { state: "clean" };
    } catch (error) {
      // e2fsck(8): 1 and 2 repaired, 4 errors left; these are bits. From 8 on it did not come to a result.
      if (!(error instanceof CommandError) || error.reason !== "exit" || error.exitCode === undefined) throw error;
      if ((error.exitCode & 4) !== 0) return { state: "damaged", text: words(error) };
      if (error.exitCode >= 8) throw error;
      await syncFile(device);
      return { state: "repaired", text: words(error) };
    }
  }

  async newUuid(device: string, options: ToolOptions): Promise<void> {
    const tune = () => runTool("tune2fs", ["-U", "random", device], options);
    try {
      await tune();
    } catch (error) {
      if (!(error instanceof CommandError) || !/e2fsck/.test(error.stderr + error.stdout)) throw error;
      await this.#settle(device, options);
      await tune();
    }
    await syncFile(device);
  }

  async growOffline(device: string, options: ToolOptions): Promise<void> {
    if ((await this.#room(device)) === undefined) return;
    await this.#settle(device, options);
    await runTool("resize2fs", [device], options, patientMs);
    await syncFile(device);
    // It may end with 0 though a write of it failed (seen: the superblock's). Nobody may rely on what was not looked at.
    const grown = await this.check(device, { ...options, repair: "none" });
    if (grown.state !== "clean")
      throw new CommandError("resize2fs", [device], "exit", "it ended with 0 and left damage", {
        stderr: grown.text,
      });
  }

  /** resize2fs and tune2fs insist on a full check first. */
  async #settle(device: string, options: ToolOptions): Promise<void> {
    const preened = await this.check(device, { ...options, repair: "preen" });
    if (preened.state === "damaged") throw new DamagedFilesystem(device, preened.text);
    try {
      await runTool("e2fsck", ["-f", "-p", device], options, patientMs);
    } catch (error) {
      if (!(error instanceof CommandError) || error.exitCode === undefined || error.exitCode > 3) throw error;
    }
  }

  async growOnline(mountPath: string, device: string): Promise<void> {
    const blocks = await this.#room(device);
    if (blocks === undefined) return;
    const fd = await openFile(mountPath, constants.O_RDONLY | constants.O_DIRECTORY);
    const argument = Buffer.alloc(8);
    argument.writeBigUInt64LE(BigInt(blocks));
    try {
      await ioctlBuffer({ syscall: "ioctl(EXT4_IOC_RESIZE_FS)" }, fd, EXT4_IOC_RESIZE_FS, argument, "mayHang");
    } catch (error) {
      if (!(error instanceof SystemError) || !isSystemError(error, "EPERM")) throw error;
      const doing = `grow the mounted ext4 at ${mountPath}`;
      throw new SystemError(error.errno, error.syscall, {
        doing,
        path: mountPath,
        detail: "it needs CAP_SYS_RESOURCE",
      });
    } finally {
      await closeFile(fd);
    }
  }

  /** Blocks that the device has room for; absent: the file system fills it. */
  async #room(device: string): Promise<number | undefined> {
    const { blockSize, blocks } = geometry(await superblock(device));
    const there = Math.floor((await deviceSize(device)) / blockSize);
    return there > blocks ? there : undefined;
  }

  async size(device: string): Promise<number> {
    const { blockSize, blocks } = geometry(await superblock(device));
    return blockSize * blocks;
  }
}

/** mke2fs takes the last of an option only: our keys are put before the caller's, which win. `unless` drops ours. */
function joined(args: readonly string[], option: string, keys: readonly string[], unless?: RegExp): string[] {
  const at = args.lastIndexOf(option);
  if (at < 0) return [option, keys.join(","), ...args];
  const given = args[at + 1] ?? "";
  return unless?.test(given) ? [...args] : args.with(at + 1, [...keys, given].join(","));
}
