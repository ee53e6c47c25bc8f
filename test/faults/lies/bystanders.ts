/** What a lie may not touch: a folder outside, and another volume that is in use meanwhile. */
import assert from "node:assert/strict";
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Volume } from "../../../src/csi/gen/csi_pb.ts";
import { settled } from "../again.ts";
import { releaseAll, type Seat, type World } from "../world.ts";

export interface Bystanders {
  /** A folder outside of the pool and of every target, with files and an empty folder in it. */
  readonly sentinel: string;
  readonly volume: Volume;
  /** Fails unless both are as they were, and the driver is the process that it was. */
  expectUnharmed(): void;
  /** Fails unless other volumes are made, used and removed as ever. */
  expectOthersGoOn(): Promise<void>;
  leave(): Promise<void>;
}

export async function makeBystanders(world: World, name: string): Promise<Bystanders> {
  const sentinel = join(world.scratch.path, `sentinel-${name}`);
  mkdirSync(join(sentinel, "empty"), { recursive: true });
  mkdirSync(join(sentinel, "data"));
  for (const file of ["precious", "record.json", "data.img", "data/below"]) writeFileSync(join(sentinel, file), name);
  const sentinelWas = contentOf(sentinel);
  const volume = await world.create(`${name}-bystander`);
  const seat: Seat = await world.take(volume);
  seat.write(name);
  let count = 0;
  return {
    sentinel,
    volume,
    expectUnharmed() {
      assert.ok(world.driver.running, "the driver is dead");
      assert.equal(contentOf(sentinel), sentinelWas, "what lies outside of the pool has changed");
      seat.holds(name);
    },
    async expectOthersGoOn() {
      count += 1;
      const other = await settled(() => world.create(`${name}-other-${count}`));
      await world.fill(other, name);
      await world.expectHolds(other, name);
      await world.remove(other);
      const listed = await world.volumeIds();
      assert.ok(listed.includes(volume.volumeId), "a volume that nobody touched is not listed");
    },
    async leave() {
      await settled(() => releaseAll(seat));
      await world.remove(volume);
    },
  };
}

/** Everything in a folder: names, kinds, content. */
export function contentOf(folder: string): string {
  const lines = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .sort()
    .map((entry) => {
      const path = join(folder, entry);
      const stats = lstatSync(path);
      if (stats.isSymbolicLink()) return `${entry} -> ${readlinkSync(path)}`;
      return stats.isFile() ? `${entry} ${stats.size} ${readFileSync(path, "base64")}` : `${entry} ${stats.mode}`;
    });
  return lines.join("\n");
}
