/**
 * Image files as loop devices on this node. Which device carries which file is asked of the kernel, by device and inode
 * number; what is remembered here is only where to look first.
 */
import { type BigIntStats, lstatSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { forbidDiscards } from "../../host/discard.ts";
import { lstat, stat } from "../../host/fs.ts";
import { isLocked, lockData } from "../../host/locks.ts";
import { attachLoop, BackingBusy, detachLoop, type LoopDevice, loopName, setCapacity } from "../../host/loop.ts";
import { findLoops, type LoopStatus, listLoops, loopFile, loopStatus } from "../../host/loop-status.ts";
import { listMounts } from "../../host/mount-table.ts";
import type { Opened, OpenOptions, Place, Progress, Volume } from "../pool.ts";
import { Problem } from "../problem.ts";
import { hasCode } from "../record.ts";

/** A device that is being freed is gone within milliseconds; one that is held by somebody is not. */
const patience = 3_000;
/**
 * Logical block size of every volume, in bytes, for its whole life. Left to itself the kernel takes 512 for a fresh file
 * and 4096 for one that shares blocks (what direct I/O needs there: statx(2), STATX_DIOALIGN), so that a file system made
 * before the first snapshot could not be mounted after it.
 */
const blockSize = 4096;

interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: number;
}

interface Held {
  readonly file: FileIdentity | undefined;
  readonly numbers: readonly number[];
}

export class Devices {
  readonly #thick: boolean;
  readonly #remote: boolean;
  /** File path to the number of the loop device that carried it last. */
  readonly #last = new Map<string, number>();

  /** `remote`: looking at a file may have to wait for a server. */
  constructor(options: { readonly thick: boolean; readonly remote: boolean }) {
    this.#thick = options.thick;
    this.#remote = options.remote;
  }

  async open(data: string, volume: Volume, options: OpenOptions, work: Progress): Promise<Opened> {
    const file = await identify(data);
    if (file.size < volume.size) {
      throw new Problem("CONTENT_LOST", `${data} has ${file.size} bytes where its volume has ${volume.size}`);
    }
    const until = Date.now() + patience;
    for (;;) {
      try {
        return this.#give(
          data,
          await attachLoop({ path: data, readonly: options.readonly, autoclear: !options.keep, blockSize }),
        );
      } catch (error) {
        if (!(error instanceof BackingBusy)) throw error;
        const kept = options.keep ? await this.#kept(data, file, options) : undefined;
        if (kept) return kept;
        work.signal.throwIfAborted();
        if (Date.now() > until) throw inUse(volume, await this.holder(data));
        work.step("waiting for the device to be free");
        await delay(10);
      }
    }
  }

  /** Runs `work` while nobody can open the file. Throws VOLUME_IN_USE where somebody has it open. */
  async unopened(data: string, volume: Volume, work: Progress, use: () => Promise<void>): Promise<void> {
    const until = Date.now() + patience;
    for (;;) {
      const lock = await lockData(data);
      if (lock) {
        try {
          return await use();
        } finally {
          lock.release();
        }
      }
      work.signal.throwIfAborted();
      if (Date.now() > until) throw inUse(volume, await this.holder(data));
      work.step("waiting for the device to be free");
      await delay(10);
    }
  }

  async close(data: string, volume: Volume, work: Progress): Promise<void> {
    await this.#closeFormer(data, volume, work);
    const until = Date.now() + patience;
    for (;;) {
      const held = await this.#held(data);
      if (held?.file === undefined) {
        this.#last.delete(data);
        return;
      }
      let gone = held.numbers.length > 0;
      for (const number of held.numbers) if ((await detachLoop(number, held.file)) !== "gone") gone = false;
      work.signal.throwIfAborted();
      if (gone) continue;
      if (Date.now() > until) throw inUse(volume, await this.holder(data));
      work.step("waiting for the device to be free");
      await delay(5);
    }
  }

  /**
   * Devices of this node that carry what the volume's file was before: its bytes were given a new inode by a detach by
   * force, or the file was removed. They are told by the name that they were attached with, in the pool's file system.
   */
  async former(data: string): Promise<Place[]> {
    return (await this.#former(data)).map(({ number }) => ({ gives: "device", device: `/dev/loop${number}` }));
  }

  async #former(data: string): Promise<LoopStatus[]> {
    const file = await this.#identity(data);
    // Only the volumes of shared pools are detached by force.
    if (file && !this.#remote) return [];
    const { dev } = await stat(dirname(data), { bigint: true });
    const name = loopName(data);
    return (await listLoops()).filter((loop) => loop.dev === dev && loop.name === name && loop.ino !== file?.ino);
  }

  async #closeFormer(data: string, volume: Volume, work: Progress): Promise<void> {
    for (const until = Date.now() + patience; ; await delay(5)) {
      const [former] = await this.#former(data);
      if (!former) return;
      if ((await detachLoop(former.number, former)) === "gone") continue;
      work.signal.throwIfAborted();
      if (Date.now() > until) throw inUse(volume, `/dev/loop${former.number} has the bytes that it had before`);
      work.step("waiting for a former device to be free");
    }
  }

  async opened(data: string): Promise<Place | undefined> {
    const number = await this.#number(data);
    return number === undefined ? undefined : { gives: "device", device: `/dev/loop${number}` };
  }

  /** Who has the file open, in words; undefined: nobody. */
  async holder(data: string): Promise<string | undefined> {
    const held = await this.#held(data);
    if (!held) return undefined;
    const [number] = held.numbers;
    if (number === undefined) return "a process or another node holds its lock";
    const mounts = (await listMounts()).filter((mount) => mount.source === `/dev/loop${number}`);
    const where = mounts.map((mount) => mount.target).join(", ");
    return `/dev/loop${number}${where === "" ? " (mounted nowhere that this process can see)" : `, mounted at ${where}`}`;
  }

  /**
   * The devices that carry the file, where somebody has it open: the lock that a device keeps is the proof, and a look at all
   * devices of the host names it. Undefined: nobody has, or it is not there. Without `file`: it is not one any more.
   */
  async #held(data: string): Promise<Held | undefined> {
    if (!(await isLocked(data).catch(unlessNoFile))) return undefined;
    const file = await this.#identity(data);
    return { file, numbers: file ? await findLoops(file) : [] };
  }

  async resize(data: string, volume: Volume): Promise<number> {
    const number = await this.#number(data);
    if (number === undefined) throw new Problem("NOT_STAGED", `the volume '${volume.name}' is not open on this node`);
    await setCapacity(number);
    return (await identify(data)).size;
  }

  /** A device for a file that is still aside: gone, with everything that held it, when this returns. */
  async aside(data: string, use: (device: string) => Promise<void>, work: Progress): Promise<void> {
    const device = await attachLoop({ path: data, autoclear: true, blockSize });
    try {
      await use(device.device);
    } finally {
      device.close();
    }
    const file = await identify(data);
    for (const until = Date.now() + patience; (await findLoops(file)).length > 0; await delay(2)) {
      work.signal.throwIfAborted();
      if (Date.now() > until) throw new Error(`${device.device} is still held after the work on it was done`);
    }
  }

  async #give(data: string, loop: LoopDevice): Promise<Opened> {
    this.#last.set(data, loop.number);
    // A discard would punch holes into what a thick pool reserved.
    try {
      if (this.#thick) await forbidDiscards(loop.number);
    } catch (error) {
      loop.close();
      throw error;
    }
    return { gives: "device", device: loop.device, discards: !this.#thick, fd: loop.fd, release: () => loop.close() };
  }

  /** The device that an earlier open left, for one that was asked to stay. */
  async #kept(data: string, file: FileIdentity, options: OpenOptions): Promise<Opened | undefined> {
    const [number, ...more] = await findLoops(file);
    if (number === undefined || more.length > 0) return undefined;
    const status = await loopStatus(number);
    if (!status || status.autoclear || status.readonly !== options.readonly) return undefined;
    this.#last.set(data, number);
    return { gives: "device", device: `/dev/loop${number}`, discards: !this.#thick, release: () => undefined };
  }

  /** Absent: the file is not there. */
  async #identity(data: string): Promise<FileIdentity | undefined> {
    // What is attached is in the kernel's memory.
    const looking = this.#remote || !this.#last.has(data) ? identify(data) : (async () => identifyNow(data))();
    return looking.catch(unlessLost);
  }

  async #number(data: string): Promise<number | undefined> {
    const last = this.#last.get(data);
    const file = await this.#identity(data);
    if (!file) return undefined;
    if (last !== undefined) {
      const carried = await loopFile(last);
      if (carried?.dev === file.dev && carried.ino === file.ino) return last;
    }
    if (!(await isLocked(data))) return undefined;
    const [number] = await findLoops(file);
    if (number !== undefined) this.#last.set(data, number);
    return number;
  }
}

async function identify(data: string): Promise<FileIdentity> {
  try {
    return identityOf(data, await lstat(data, { bigint: true }));
  } catch (error) {
    throw explained(data, error);
  }
}

function identifyNow(data: string): FileIdentity {
  try {
    return identityOf(data, lstatSync(data, { bigint: true }));
  } catch (error) {
    throw explained(data, error);
  }
}

function identityOf(data: string, stats: BigIntStats): FileIdentity {
  // A link's file, or a device, is perhaps another volume's.
  if (!stats.isFile()) throw new Problem("CONTENT_LOST", `${data} is not a file`);
  return { dev: stats.dev, ino: stats.ino, size: Number(stats.size) };
}

function explained(data: string, error: unknown): unknown {
  if (!hasCode(error, "ENOENT")) return error;
  return new Problem("CONTENT_LOST", `the file ${data} is not there`, { cause: error });
}

function unlessLost(error: unknown): undefined {
  if (error instanceof Problem && error.code === "CONTENT_LOST") return undefined;
  throw error;
}

function unlessNoFile(error: unknown): undefined {
  if (!hasCode(error, "ENOENT", "ELOOP", "EISDIR", "ENXIO")) throw error;
}

function inUse(volume: Volume, holder: string | undefined): Problem {
  const what = `the volume '${volume.name}' is open: ${holder ?? "its holder has just let go"}`;
  if (!holder?.includes("nowhere")) return new Problem("VOLUME_IN_USE", what);
  const device = holder.split(" ")[0] ?? "";
  return new Problem("VOLUME_IN_USE", what, {
    advice: `end the process that has it: grep -l ${device} /proc/*/mountinfo, or fuser ${device}; then call again`,
  });
}
