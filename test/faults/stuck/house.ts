/** A driver with two pools, each on a disk of its own: on one of them something gets stuck, and the other must not feel it. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Volume } from "../../../src/csi/gen/csi_pb.ts";
import { differences, writeFiles } from "../../support/content.ts";
import { type Driver, startDriver } from "../../support/driver.ts";
import { type CreateOptions, createVolume, placeFor, type Usage } from "../../support/orchestrator.ts";
import { type DiskKind, makePoolDisk, type PoolDisk } from "../../support/pool-disk.ts";
import type { Scratch } from "../../support/scratch.ts";
import { settled } from "../again.ts";
import { mebibyte, volumeBytes } from "../world.ts";

/** How a tool behaves: as itself; waiting for ever; also deaf to SIGTERM; wanting all memory; talking without end. */
export type Manner = "itself" | "waits" | "deaf" | "eats" | "talks";

const tools = ["mkfs.ext4", "e2fsck", "resize2fs"] as const;
export type Tool = (typeof tools)[number];

export class House {
  readonly scratch: Scratch;
  readonly driver: Driver;
  /** The disk of pool `p`, and the one that its file lies on. */
  readonly disk: PoolDisk;
  readonly outer: PoolDisk;
  readonly #manners: string;

  private constructor(scratch: Scratch, driver: Driver, disk: PoolDisk, outer: PoolDisk, manners: string) {
    this.scratch = scratch;
    this.driver = driver;
    this.disk = disk;
    this.outer = outer;
    this.#manners = manners;
  }

  static async make(scratch: Scratch, kind: DiskKind): Promise<House> {
    const bytes = 12 * 1024 * mebibyte;
    const outer = await makePoolDisk(scratch, "xfs", { bytes: 16 * 1024 * mebibyte });
    const disk = await makePoolDisk(scratch, kind, { bytes, under: outer.path });
    const other = await makePoolDisk(scratch, "xfs", { bytes });
    const manners = mkdtempSync(join(scratch.path, "manners-"));
    const driver = await startDriver(scratch, {
      pools: [`p=image:${disk.path}`, `q=image:${other.path}`],
      apart: true,
      initPools: "first",
      standIns: Object.fromEntries(tools.map((tool) => [pathOf(tool), standIn(manners, tool)])),
    });
    return new House(scratch, driver, disk, outer, manners);
  }

  behave(tool: Tool, manner: Manner): void {
    if (manner === "itself") rmSync(join(this.#manners, `${tool}.manner`), { force: true });
    else writeFileSync(join(this.#manners, `${tool}.manner`), manner);
  }

  /** Waits until the tool was started in this manner; answers its process. */
  async started(tool: Tool): Promise<number> {
    const file = join(this.#manners, `${tool}.pid`);
    for (let tries = 0; tries < 500; tries += 1) {
      const pid = Number(readOrEmpty(file));
      if (pid > 0) {
        rmSync(file);
        return pid;
      }
      await sleep(20);
    }
    throw new Error(`${tool} was not started`);
  }

  create(pool: "p" | "q", name: string, options: CreateOptions = {}): Promise<Volume> {
    return createVolume(this.driver, name, { bytes: volumeBytes, use: "ext4", ...options, parameters: { pool } });
  }

  placeFor(volume: Volume): Usage {
    return placeFor(this.scratch, this.driver, volume);
  }

  /** Where the driver sees it: in its own mount namespace. */
  seen(path: string): string {
    return `/proc/${this.driver.pid}/root${path}`;
  }

  async fill(volume: Volume, seed: string): Promise<void> {
    const place = this.placeFor(volume);
    await place.take();
    writeFiles(this.seen(place.target), seed, 3);
    await place.release();
  }

  /** Repeated until it gets through: it works again, by itself. */
  async expectHolds(volume: Volume, seed: string): Promise<void> {
    const place = this.placeFor(volume);
    await settled(() => place.take());
    assert.deepEqual(differences(this.seen(place.target), seed, 3), []);
    await settled(() => place.release());
  }

  remove({ volumeId }: Volume): Promise<unknown> {
    return settled(() => this.driver.client.controller.deleteVolume({ volumeId }));
  }

  /** Milliseconds that lives of volumes in this pool take, each made, used and removed: the median. */
  async pace(pool: "p" | "q", count = 7): Promise<number> {
    const times: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const began = performance.now();
      const volume = await this.create(pool, `pace-${performance.now()}`);
      const place = this.placeFor(volume);
      await place.take();
      await place.release();
      await this.driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
      times.push(performance.now() - began);
    }
    return times.sort((a, b) => a - b)[Math.floor(count / 2)] ?? 0;
  }

  /** The same of so many lives at once: how long until the last is over. */
  async crowdedPace(pool: "p" | "q", callers: number): Promise<number> {
    const began = performance.now();
    await Promise.all(Array.from({ length: callers }, () => this.pace(pool, 1)));
    return performance.now() - began;
  }

  /** The same of the uses of one volume, each staged, published and let go. */
  async paceOfUse(volume: Volume, count = 7): Promise<number> {
    const times: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const place = this.placeFor(volume);
      const began = performance.now();
      await place.take();
      await place.release();
      times.push(performance.now() - began);
    }
    return times.sort((a, b) => a - b)[Math.floor(count / 2)] ?? 0;
  }
}

function pathOf(tool: Tool): string {
  return realpathSync(`/usr/sbin/${tool}`);
}

/** What stands in a tool's place: it looks each time how it is to behave. */
function standIn(manners: string, tool: Tool): string {
  const folder = join(manners, tool);
  mkdirSync(folder);
  const real = join(folder, tool);
  copyFileSync(`/usr/sbin/${tool}`, real);
  const script = join(manners, `${tool}.sh`);
  const manner = join(manners, `${tool}.manner`);
  // When the scratch folder goes without a word, as after a test that was killed, it ends too.
  const wait = `while [ -e ${manner} ] && [ -e ${script} ]; do sleep 0.05; done`;
  writeFileSync(
    script,
    `#!/bin/sh
manner=$(cat ${manner} 2>/dev/null)
[ -n "$manner" ] && { echo $$ >${manner}.new; mv ${manner}.new ${join(manners, `${tool}.pid`)}; }
case $manner in
  waits) ${wait} ;;
  deaf) trap '' TERM INT HUP; ${wait} ;;
  eats) exec perl -e 'my @all; push @all, "x" x 100_000_000 while 1' ;;
  talks) exec yes "a line that says nothing and does not end" ;;
esac
exec ${real} "$@"
`,
    { mode: 0o755 },
  );
  return script;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // not there yet
  }
}
