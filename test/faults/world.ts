/** One real driver over one real pool, and what an orchestrator does with them: the place where faults are made. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Volume } from "../../src/csi/gen/csi_pb.ts";
import { differences, holdsRaw, writeFiles, writeRaw } from "../support/content.ts";
import { type Driver, type DriverOptions, startDriver } from "../support/driver.ts";
import { loopDevicesOf, mountsUnder } from "../support/leftovers.ts";
import { type CreateOptions, capability, createVolume } from "../support/orchestrator.ts";
import { makePoolDisk, type PoolDisk } from "../support/pool-disk.ts";
import { run } from "../support/run.ts";
import type { Scratch } from "../support/scratch.ts";
import type { PoolKind } from "./pools.ts";

export const mebibyte = 1024 ** 2;
/** The smallest that mkfs.xfs takes is 300 MiB. */
export const volumeBytes = 320 * mebibyte;
const files = 3;

/** A volume with the folders that a kubelet makes for it; its calls may be repeated. */
export interface Seat {
  readonly volume: Volume;
  readonly target: string;
  attach(): Promise<void>;
  stage(): Promise<void>;
  publish(): Promise<void>;
  unpublish(): Promise<void>;
  unstage(): Promise<void>;
  detach(): Promise<void>;
  /** NodeExpandVolume to the size that the volume has. */
  expand(bytes: number): Promise<void>;
  /** Writes what follows from `seed`, synced. */
  write(seed: string): void;
  /** Fails unless what `write` wrote is there, byte for byte. */
  holds(seed: string): void;
}

/** What an unused pool has: the files in it, and the bytes that can be promised. */
interface Empty {
  readonly files: readonly string[];
  readonly capacity: number;
}

export class World {
  readonly kind: PoolKind;
  readonly scratch: Scratch;
  readonly disk: PoolDisk;
  readonly driver: Driver;
  readonly #empty: Empty;

  private constructor(kind: PoolKind, scratch: Scratch, disk: PoolDisk, driver: Driver, empty: Empty) {
    this.kind = kind;
    this.scratch = scratch;
    this.disk = disk;
    this.driver = driver;
    this.#empty = empty;
  }

  /** A new pool with a driver on it. `env`: more environment of the driver. */
  static async make(
    kind: PoolKind,
    scratch: Scratch,
    more: Pick<DriverOptions, "env" | "args" | "apart" | "standIns" | "initPools"> & { readonly under?: string } = {},
  ): Promise<World> {
    const { under, ...options } = more;
    const disk = await makePoolDisk(scratch, kind.disk, { bytes: 16 * 1024 * mebibyte, ...(under ? { under } : {}) });
    if (kind.quotas) await run("btrfs", ["quota", "enable", disk.path]);
    const driver = await startDriver(scratch, { pools: [poolArgument(kind, disk.path)], ...options });
    const capacity = await capacityOf(driver);
    const world = new World(kind, scratch, disk, driver, { files: [], capacity });
    // One whole life makes what stays for ever, as the node's own folder.
    const first = await world.create("first");
    await world.fill(first, "first");
    await world.remove(first);
    await world.expectReclaimed();
    return new World(kind, scratch, disk, driver, { files: filesOf(disk.path), capacity });
  }

  /** Another driver, over a copy of this world's disk: it is empty with what this one is empty with. */
  over(scratch: Scratch, disk: PoolDisk, driver: Driver): World {
    return new World(this.kind, scratch, disk, driver, this.#empty);
  }

  /** What lies in the pool now stays for ever, as another node's own folder. */
  withMoreKept(): World {
    return new World(this.kind, this.scratch, this.disk, this.driver, {
      ...this.#empty,
      files: filesOf(this.disk.path),
    });
  }

  create(name: string, options: CreateOptions = {}): Promise<Volume> {
    return createVolume(this.driver, name, { bytes: volumeBytes, use: this.kind.use, ...options });
  }

  remove(volume: Pick<Volume, "volumeId">): Promise<unknown> {
    return this.driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
  }

  async volumeIds(): Promise<string[]> {
    const { entries } = await this.driver.client.controller.listVolumes({});
    return entries.flatMap(({ volume }) => (volume ? [volume.volumeId] : []));
  }

  async snapshotIds(): Promise<string[]> {
    if (!this.kind.copies) return [];
    const { entries } = await this.driver.client.controller.listSnapshots({});
    return entries.flatMap(({ snapshot }) => (snapshot ? [snapshot.snapshotId] : []));
  }

  seat(volume: Volume): Seat {
    return seatOf(this, volume);
  }

  /** Attached, staged and published. */
  async take(volume: Volume): Promise<Seat> {
    const seat = this.seat(volume);
    await takeAll(seat);
    return seat;
  }

  /** Used once, with `seed` written, and let go. */
  async fill(volume: Volume, seed: string): Promise<void> {
    const seat = await this.take(volume);
    seat.write(seed);
    await releaseAll(seat);
  }

  /** Uses it for once and fails unless it holds what was written. */
  async expectHolds(volume: Volume, seed: string): Promise<void> {
    const seat = await this.take(volume);
    seat.holds(seed);
    await releaseAll(seat);
  }

  /** Fails unless nothing is left: of volumes and snapshots, mounts and devices, files in the pool and promised bytes. */
  async expectEmpty(): Promise<void> {
    this.#expectNone("volumes", await this.volumeIds());
    this.#expectNone("snapshots", await this.snapshotIds());
    const left = async (): Promise<string[]> => [
      ...filesOf(this.disk.path)
        .filter((file) => !this.#empty.files.includes(file))
        .map((file) => `${file} is left in the pool`),
      ...mountsUnder(this.scratch.path)
        .filter((target) => target !== this.disk.path && !this.disk.path.startsWith(`${target}/`))
        .map((target) => `still mounted: ${target}`),
      ...loopDevicesOf(this.scratch.path)
        .filter(({ file }) => !file.endsWith("/disk.raw"))
        .map(({ device, file }) => `${device} still holds ${file}`),
      ...(await this.#unreturned()),
    ];
    // Space comes back in the background, and a device goes a moment after its last unmount.
    for (let tries = 0; ; tries += 1) {
      const found = await left();
      if (found.length === 0) return;
      assert.ok(tries < 100, found.join("\n"));
      await sleep(tries < 10 ? 10 : 50);
    }
  }

  /** What is left is told with its records, which have the names. */
  #expectNone(shelf: "volumes" | "snapshots", ids: readonly string[]): void {
    const folder = join(this.disk.path, shelf);
    // One may be damaged, or go at this moment.
    const records = ids.length === 0 ? [] : readdirSync(folder).map((key) => textOf(join(folder, key, "record.json")));
    assert.deepEqual(ids, [], [`${shelf} are left:`, ...records].join("\n"));
  }

  /** Waits until what was deleted or given up has been tidied away, or the driver is dead; fails after five seconds. */
  async expectReclaimed(): Promise<void> {
    for (let tries = 0; this.driver.running; tries += 1) {
      const left = ["building", "trash"].flatMap((folder) => readdirSync(join(this.disk.path, folder)));
      if (left.length === 0) return;
      assert.ok(tries < 250, `not reclaimed: ${left.join(", ")}`);
      await sleep(20);
    }
  }

  async #unreturned(): Promise<string[]> {
    const missing = this.#empty.capacity - (await capacityOf(this.driver));
    return missing === 0 ? [] : [`${missing} bytes are still promised`];
  }
}

export function poolArgument(kind: PoolKind, path: string): string {
  // A measured size follows what other files the file system has; with a given one the sum of promises must come out exactly.
  return `p=${kind.backend}:${path},size=12Gi${kind.options}`;
}

/** Again from the start, whatever is done already. */
export async function takeAll(seat: Seat): Promise<void> {
  await seat.attach();
  await seat.stage();
  await seat.publish();
}

export async function releaseAll(seat: Seat): Promise<void> {
  await seat.unpublish();
  await seat.unstage();
  await seat.detach();
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return String(error);
  }
}

async function capacityOf(driver: Driver): Promise<number> {
  return Number((await driver.client.controller.getCapacity({})).availableCapacity);
}

/**
 * What lies in the pool, but for each process's own mark, and for files that a dead writer had not renamed yet: a living
 * one's look the same, so they are swept when they are ten minutes old.
 */
function filesOf(pool: string): string[] {
  const passing = /^controllers\/|(^|\/)\.[^/]*\.tmp$/;
  for (;;) {
    try {
      return readdirSync(pool, { recursive: true, encoding: "utf8" }).filter((file) => !passing.test(file));
    } catch (error) {
      // A folder that was reclaimed between the look at its parent and the look into it.
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    }
  }
}

function seatOf(world: World, volume: Volume): Seat {
  const { kind, driver } = world;
  const folder = mkdtempSync(join(world.scratch.path, "seat-"));
  const staging = join(folder, "staging");
  const target = join(folder, "target");
  mkdirSync(staging);
  let publishContext: Record<string, string> = {};
  const { volumeId } = volume;
  const usual = () => ({
    volumeId,
    volumeContext: volume.volumeContext,
    publishContext,
    volumeCapability: capability(kind.use),
    stagingTargetPath: staging,
  });
  const { controller, node } = driver.client;
  const raw = kind.use === "block";
  let staged = false;
  return {
    volume,
    target,
    async attach() {
      if (!kind.shared) return;
      const { volumeContext } = volume;
      const wish = { volumeId, volumeContext, nodeId: "n1", volumeCapability: capability(kind.use), readonly: false };
      publishContext = (await controller.controllerPublishVolume(wish)).publishContext;
    },
    async stage() {
      staged = true;
      await node.nodeStageVolume(usual());
    },
    async publish() {
      await node.nodePublishVolume({ ...usual(), targetPath: target, readonly: false });
    },
    async unpublish() {
      await node.nodeUnpublishVolume({ volumeId, targetPath: target });
    },
    async unstage() {
      await node.nodeUnstageVolume({ volumeId, stagingTargetPath: staging });
      staged = false;
    },
    async detach() {
      if (kind.shared) await controller.controllerUnpublishVolume({ volumeId, nodeId: "n1" });
      // Where an unstage was refused a mount may be left, to be unstaged later: no orchestrator removes that folder before.
      if (!staged) rmSync(folder, { recursive: true, force: true });
    },
    async expand(bytes) {
      await node.nodeExpandVolume({
        volumeId,
        volumePath: target,
        stagingTargetPath: staging,
        capacityRange: { requiredBytes: BigInt(bytes) },
        volumeCapability: capability(kind.use),
      });
    },
    write(seed) {
      if (raw) writeRaw(target, seed);
      else writeFiles(target, seed, files);
    },
    holds(seed) {
      if (raw) assert.ok(holdsRaw(target, seed), `the device does not hold what '${seed}' wrote`);
      else assert.deepEqual(differences(target, seed, files), []);
    },
  };
}
