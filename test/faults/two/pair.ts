/**
 * Two controllers and two nodes on one shared pool, in three processes: a controller with the node n1, a controller alone,
 * and the node n2 alone, in a mount namespace of its own as on another machine.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, statSync } from "node:fs";
import { join } from "node:path";
import { CsiError } from "../../../src/csi/client.ts";
import type { Volume } from "../../../src/csi/gen/csi_pb.ts";
import { type Driver, holdfast, startDriver } from "../../support/driver.ts";
import { mountsUnder } from "../../support/leftovers.ts";
import { type CreateOptions, capability, createVolume } from "../../support/orchestrator.ts";
import { attempt, run } from "../../support/run.ts";
import type { Scratch } from "../../support/scratch.ts";
import { settled } from "../again.ts";
import { put, wrongIn } from "../content.ts";
import type { PoolKind } from "../pools.ts";
import { poolArgument, volumeBytes, World } from "../world.ts";

export type NodeId = "n1" | "n2";

/** Where a node uses a volume. All may be repeated. */
export interface Place {
  readonly node: NodeId;
  readonly volume: Volume;
  /** By one of the controllers. */
  attach(by: 0 | 1): Promise<void>;
  /** Stages and publishes. */
  take(): Promise<void>;
  release(): Promise<void>;
  detach(by: 0 | 1): Promise<void>;
  /** Writes and syncs. */
  put(seed: string, index: number): Promise<void>;
  /** Fails unless it holds what these seeds wrote and nothing else; `maybe`: or in part, what this one wrote. */
  holds(seeds: readonly string[], maybe?: string): Promise<void>;
  /** Where the volume is seen from outside. */
  seen(): string;
  /** Whether it was taken, as far as it was told, and not released. */
  readonly taken: boolean;
  /** Only n1: what it has mounted and open goes, and its driver hears nothing of it. */
  powerOff(): Promise<void>;
}

export class Pair {
  readonly kind: PoolKind;
  readonly drivers: readonly [Driver, Driver, Driver];
  readonly #world: World;
  #places: Place[] = [];

  private constructor(world: World, second: Driver, third: Driver) {
    this.kind = world.kind;
    this.#world = world;
    this.drivers = [world.driver, second, third];
  }

  static async make(kind: PoolKind, scratch: Scratch, env: NodeJS.ProcessEnv): Promise<Pair> {
    const world = await World.make(kind, scratch, { env });
    const pools = [poolArgument(kind, world.disk.path)];
    const common = { pools, env, initPools: false };
    const second = await startDriver(scratch, { ...common, nodeId: "c2", args: ["--services", "identity,controller"] });
    const node = { nodeId: "n2", args: ["--services", "identity,node"], apart: true, sees: [world.disk.path] };
    const third = await startDriver(scratch, { ...common, ...node });
    const pair = new Pair(world, second, third);
    await pair.hold(await pair.create(0, "first"), "n2");
    await pair.#giveBack();
    await world.expectReclaimed();
    return new Pair(world.withMoreKept(), second, third);
  }

  controller(at: 0 | 1): Driver["client"]["controller"] {
    return this.drivers[at].client.controller;
  }

  create(by: 0 | 1, name: string, options: CreateOptions = {}): Promise<Volume> {
    return createVolume(this.drivers[by], name, { bytes: volumeBytes, use: this.kind.use, ...options });
  }

  place(volume: Volume, node: NodeId): Place {
    const place = placeOf(this, this.#world.scratch, volume, node);
    this.#places.push(place);
    return place;
  }

  /** Attached and taken. */
  async hold(volume: Volume, node: NodeId): Promise<Place> {
    const place = this.place(volume, node);
    await settled(() => place.attach(0));
    await settled(() => place.take());
    return place;
  }

  async letGo(place: Place): Promise<void> {
    await settled(() => place.release());
    await settled(() => place.detach(1));
  }

  /** Used once on this node, and holds these and nothing else. */
  async expectHolds(volume: Volume, node: NodeId, seeds: readonly string[]): Promise<void> {
    const place = await this.hold(volume, node);
    await place.holds(seeds);
    await this.letGo(place);
  }

  /** A volume in which `seed` was written, let go. */
  async filled(name: string, seed: string): Promise<Volume> {
    const volume = await this.create(0, name);
    const place = await this.hold(volume, "n1");
    await place.put(seed, 0);
    await this.letGo(place);
    return volume;
  }

  async volumeIds(by: 0 | 1 = 0): Promise<string[]> {
    const { entries } = await this.controller(by).listVolumes({});
    return entries.flatMap(({ volume }) => (volume ? [volume.volumeId] : [])).sort();
  }

  async snapshotIds(by: 0 | 1 = 0): Promise<string[]> {
    if (!this.kind.copies) return [];
    const { entries } = await this.controller(by).listSnapshots({});
    return entries.flatMap(({ snapshot }) => (snapshot ? [snapshot.snapshotId] : [])).sort();
  }

  async holdersOf(volume: Volume, by: 0 | 1 = 0): Promise<readonly string[]> {
    const { volumeId } = volume;
    return (await settled(() => this.controller(by).controllerGetVolume({ volumeId }))).status?.publishedNodeIds ?? [];
  }

  async availableTo(by: 0 | 1): Promise<bigint> {
    return (await this.controller(by).getCapacity({})).availableCapacity;
  }

  /** The operator's word that its node is gone; again while another call is in its way. `killedAfter`: it dies then, in milliseconds. */
  async forceDetach(volume: Volume, killedAfter?: number): Promise<void> {
    const pool = poolArgument(this.kind, this.#world.disk.path);
    const words = ["volume", "detach", volume.volumeId, "--force", "--node-id", "c9", "--pool", pool];
    const end = performance.now() + 10_000;
    for (;;) {
      const { code, stderr } = await attempt(
        holdfast,
        words,
        killedAfter === undefined ? {} : { timeoutMs: killedAfter },
      );
      if (code === 0 || killedAfter !== undefined) return;
      if (!stderr.includes("OPERATION_RUNNING") || performance.now() > end)
        throw new Error(`detach --force: ${stderr}`);
    }
  }

  /** What holds at any moment: both controllers know the same, a volume has one holder, and a file one device. */
  async expectSteady(): Promise<void> {
    const ids = await this.volumeIds(0);
    assert.deepEqual(await this.volumeIds(1), ids, "the controllers list different volumes");
    assert.deepEqual(await this.snapshotIds(1), await this.snapshotIds(0), "the controllers list different snapshots");
    for (const volumeId of ids) {
      const [one, two] = await Promise.all(
        ([0, 1] as const).map((by) => settled(() => this.controller(by).controllerGetVolume({ volumeId }))),
      );
      assert.equal(one?.volume?.capacityBytes, two?.volume?.capacityBytes, "the controllers know different sizes");
      const holders = one?.status?.publishedNodeIds ?? [];
      assert.deepEqual(two?.status?.publishedNodeIds, holders, "the controllers know different holders");
      assert.ok(holders.length <= 1, `${holders.join(" and ")} hold one volume`);
    }
    const twice = (await this.#openFiles()).filter((inode, at, all) => all.indexOf(inode) !== at);
    assert.deepEqual(twice, [], "files that are open as two devices");
  }

  /** The inode numbers of the pool's files that are loop devices, on whichever node. */
  async #openFiles(): Promise<string[]> {
    const listed = await run("losetup", ["--list", "--noheadings", "--raw", "--output", "BACK-MAJ:MIN,BACK-INO"]);
    const { dev } = statSync(this.#world.disk.path);
    const own = `${(dev >> 8) & 0xfff}:${minorOf(dev)}`;
    return listed.split("\n").flatMap((line) => (line.startsWith(`${own} `) ? [line.slice(own.length + 1)] : []));
  }

  /** Every process that is dead runs again. */
  async restart(): Promise<void> {
    for (const driver of this.drivers) if (!driver.running) await driver.start();
  }

  /** Gives back and deletes all, and fails when anything is left. */
  async clear(): Promise<void> {
    await this.#giveBack();
    await this.#world.expectEmpty();
  }

  async #giveBack(): Promise<void> {
    // Both nodes are one kernel: what one has open keeps the other waiting, so it goes first.
    const places = this.#places.sort((one, other) => Number(other.taken) - Number(one.taken));
    const kept: Place[] = [];
    for (const place of places) await settled(() => place.release()).catch(() => kept.push(place));
    for (const place of kept) await settled(() => place.release());
    this.#places = [];
    for (const volumeId of await this.volumeIds()) {
      for (const nodeId of ["n1", "n2"])
        await settled(() => this.controller(1).controllerUnpublishVolume({ volumeId, nodeId }));
      await settled(() => this.controller(0).deleteVolume({ volumeId }));
    }
    for (const snapshotId of await this.snapshotIds())
      await settled(() => this.controller(1).deleteSnapshot({ snapshotId }));
  }
}

function placeOf(pair: Pair, scratch: Scratch, volume: Volume, node: NodeId): Place {
  const { use } = pair.kind;
  const driver = pair.drivers[node === "n1" ? 0 : 2];
  const folder = mkdtempSync(join(scratch.path, `at-${node}-`));
  const stagingTargetPath = join(folder, "staging");
  const targetPath = join(folder, "target");
  mkdirSync(stagingTargetPath);
  const { volumeId, volumeContext } = volume;
  let publishContext: Record<string, string> = {};
  const usual = () => ({
    volumeId,
    volumeContext,
    publishContext,
    volumeCapability: capability(use),
    stagingTargetPath,
  });
  const seen = () => (node === "n1" ? targetPath : `/proc/${driver.pid}/root${targetPath}`);
  let taken = false;
  return {
    node,
    volume,
    seen,
    get taken() {
      return taken;
    },
    async attach(by) {
      const wish = { volumeId, volumeContext, nodeId: node, volumeCapability: capability(use), readonly: false };
      publishContext = (await pair.controller(by).controllerPublishVolume(wish)).publishContext;
    },
    async take() {
      await driver.client.node.nodeStageVolume(usual());
      await driver.client.node.nodePublishVolume({ ...usual(), targetPath, readonly: false });
      taken = true;
    },
    async release() {
      await driver.client.node.nodeUnpublishVolume({ volumeId, targetPath });
      await driver.client.node.nodeUnstageVolume({ volumeId, stagingTargetPath });
      taken = false;
    },
    async powerOff() {
      const device = use === "block" && taken ? minorOf(statSync(targetPath).rdev) : undefined;
      for (const target of mountsUnder(folder)) await run("umount", [target]);
      if (device !== undefined) await run("losetup", ["--detach", `/dev/loop${device}`]);
    },
    async detach(by) {
      await pair.controller(by).controllerUnpublishVolume({ volumeId, nodeId: node });
    },
    put: (seed, index) => put(use, seen(), seed, index),
    async holds(seeds, maybe) {
      assert.deepEqual(await wrongIn(use, seen(), seeds, maybe), [], `the content on ${node}`);
    },
  };
}

/** makedev(3) taken apart. */
function minorOf(device: number): number {
  return (device & 0xff) | ((device >> 12) & ~0xff);
}

/** The call must be refused, with one of these codes once what passes has passed. */
export async function expectRefused(
  call: () => Promise<unknown>,
  codes: readonly string[],
  what: string,
): Promise<void> {
  try {
    await settled(call);
  } catch (error) {
    assert.ok(error instanceof CsiError, String(error));
    assert.ok(codes.includes(error.code), `${what}: ${error.code} instead of ${codes.join(" or ")}: ${error.message}`);
    return;
  }
  assert.fail(`${what} was not refused`);
}
