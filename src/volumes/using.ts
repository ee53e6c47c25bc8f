/** A volume that is in use on this node: its figures, and its growth. */
import { deviceSize, type FilesystemUsage, filesystemUsage } from "../host/stats.ts";
import type { StageRecord } from "../pools/node-records.ts";
import type { Pool, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import { hasCode } from "../pools/record.ts";
import type { Call, Capability, CapacityRange, Usage } from "./api.ts";
import { growAfter } from "./content.ts";
import type { Context } from "./context.ts";
import { growInPool } from "./growth.ts";
import { look, lookOpen } from "./mounted.ts";
import { stillThere } from "./pool-set.ts";
import { chooseSize, fits } from "./sizes.ts";

/** Milliseconds: a file system that does not answer in this time does not answer. */
const statPatience = 10_000;

export class UseRules {
  readonly #context: Context;
  readonly #growsAlone: boolean;

  /** `growsAlone`: no controller grew the volume before, so it is grown in its pool here. */
  constructor(context: Context, growsAlone: boolean) {
    this.#context = context;
    this.#growsAlone = growsAlone;
  }

  async stats(asked: { readonly id: string; readonly path: string }): Promise<readonly Usage[]> {
    const { pools } = this.#context;
    const { pool, volume } = (await pools.ephemeral(asked.id)) ?? (await pools.theVolume(asked.id));
    return pools.within(pool, () => this.#stats(pool, volume, asked));
  }

  async #stats(pool: Pool, volume: Volume, asked: { readonly path: string }): Promise<readonly Usage[]> {
    const record = await this.#record(pool, volume, asked.path);
    if (record.access === "block") {
      await expectAt(pool, volume, record, asked.path);
      const place = await pool.opened(volume);
      if (place?.gives !== "device") throw notThere(volume, asked.path);
      const total = await deviceSize(place.device);
      return [{ unit: "BYTES", total, available: 0, used: total }];
    }
    // Of the mount that is looked at, whatever has that path meanwhile.
    const found = await lookOpen(pool, volume, record, asked.path);
    try {
      if (found.what !== "ours" || found.fd === undefined) throw notThere(volume, asked.path);
      const own = await pool.usage?.(volume);
      if (own) return [{ unit: "BYTES", total: volume.size, ...own }];
      const { bytes, inodes } = await this.#usage(volume, `/proc/self/fd/${found.fd}`);
      return [
        { unit: "BYTES", ...bytes },
        { unit: "INODES", ...inodes },
      ];
    } finally {
      found.close();
    }
  }

  async expand(
    asked: {
      readonly id: string;
      readonly path: string;
      readonly capacity: CapacityRange;
      readonly capability?: Capability;
    },
    call: Call,
  ): Promise<number> {
    const { pool, volume } = await this.#context.pools.theVolume(asked.id);
    return this.#context.ledger.run(
      this.#context.volumeSubject(pool, volume),
      call,
      JSON.stringify(asked),
      async (progress) => {
        let current = await stillThere(pool, volume);
        const record = await this.#at(pool, current, asked.path);
        if (this.#growsAlone && current.size < (asked.capacity.required ?? 0)) {
          progress.step("growing");
          current = await growInPool(pool, current, chooseSize(asked.capacity, 0, current.size));
        }
        if (!fits(current.size, asked.capacity)) {
          throw new Problem("SIZE_OUT_OF_RANGE", `the volume has ${current.size} bytes; the controller grows it first`);
        }
        if (pool.features.gives === "directory") return current.size;
        progress.step("growing the device");
        await pool.resizeOpened(current);
        if (record.access === "mount") {
          progress.step("growing the mounted file system");
          await this.#growMounted(pool, current, record);
        }
        return current.size;
      },
    );
  }

  async #usage(volume: Volume, path: string): Promise<FilesystemUsage> {
    try {
      return await filesystemUsage(path, { timeoutMs: statPatience });
    } catch (error) {
      if (!(error instanceof Error && error.name === "TimeoutError")) throw error;
      throw new Problem(
        "CALL_TIMED_OUT",
        `the file system of the volume '${volume.name}' did not answer within ${statPatience} ms`,
        { cause: error },
      );
    }
  }

  async #growMounted(pool: Pool, volume: Volume, record: StageRecord): Promise<void> {
    const place = await pool.opened(volume);
    if (place?.gives !== "device") throw notThere(volume, record.stagingPath);
    try {
      await growAfter(pool, volume, await pool.latch(volume), record.stagingPath, place.device);
    } catch (error) {
      if (!hasCode(error, "EPERM")) throw error;
      throw new Problem(
        "EXPAND_UNSUPPORTED",
        `the kernel grows a mounted ext4 only for a process with CAP_SYS_RESOURCE, which this one lacks`,
        { cause: error },
      );
    }
  }

  /** The stage record of a volume that is at this path, staged or published. Throws PATH_NOT_FOUND. */
  async #at(pool: Pool, volume: Volume, path: string): Promise<StageRecord> {
    const record = await this.#record(pool, volume, path);
    await expectAt(pool, volume, record, path);
    return record;
  }

  /**
   * As `#at`, where the kernel is asked by the caller: by what was written. A raw volume may also be asked for where
   * somebody mounted its device on: the kubelet names `plugins/kubernetes.io/csi/volumeDevices/PV/dev/POD`, its own mount of
   * what was published (NewBlockVolumeMapper in its csi_plugin.go).
   */
  async #record(pool: Pool, volume: Volume, path: string): Promise<StageRecord> {
    const record = await this.#context.records(pool).read(volume.key);
    if (record?.nonce !== volume.nonce) throw notThere(volume, path);
    const known = record.stagingPath === path || record.targets.some((target) => target.path === path);
    if (!known && record.access !== "block") throw notThere(volume, path);
    return record;
  }
}

/** By the kernel; at its staging path a raw volume has nothing to be seen. */
async function expectAt(pool: Pool, volume: Volume, record: StageRecord, path: string): Promise<void> {
  if (record.access === "block" && record.stagingPath === path) return;
  if ((await look(pool, volume, record, path)).what !== "ours") throw notThere(volume, path);
}

function notThere(volume: Volume, path: string): Problem {
  return new Problem("PATH_NOT_FOUND", `the volume '${volume.name}' is not at ${path}`);
}
