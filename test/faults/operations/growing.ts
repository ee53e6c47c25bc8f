import assert from "node:assert/strict";
import { statfsSync } from "node:fs";
import { releaseAll, type Seat, volumeBytes, type World } from "../world.ts";
import type { Operation } from "./operation.ts";

const grownBytes = 2 * volumeBytes;

export const grow: Operation = {
  name: "grow",
  on: (pool) => pool.grows,
  async prepare(world, name) {
    const volume = await world.create(name);
    await world.fill(volume, name);
    return {
      act: async () => {
        await growTo(world, volume.volumeId);
        return "";
      },
      async check() {
        assert.equal(await sizeOf(world, volume.volumeId), grownBytes);
        const seat = await world.take(volume);
        seat.holds(name);
        expectRoom(world, seat);
        await releaseAll(seat);
      },
      undo: async () => void (await world.remove(volume)),
    };
  },
};

/** The first stage after a growth of a volume that was not in use: the file system is grown before it is mounted. */
export const stageGrown: Operation = {
  name: "stage-grown",
  on: (pool) => pool.grows && pool.backend === "image" && pool.use !== "block",
  async prepare(world, name) {
    const volume = await world.create(name);
    await world.fill(volume, name);
    await growTo(world, volume.volumeId);
    const seat = world.seat(volume);
    await seat.attach();
    return {
      async act() {
        await seat.stage();
        return "";
      },
      async check() {
        await seat.publish();
        seat.holds(name);
        expectRoom(world, seat);
      },
      async undo() {
        await releaseAll(seat);
        await world.remove(volume);
      },
    };
  },
};

/** Growth of what is mounted or open; ext4 would need CAP_SYS_RESOURCE. */
export const growInUse: Operation = {
  name: "grow-in-use",
  on: (pool) => pool.grows && pool.use !== "ext4",
  async prepare(world, name) {
    const volume = await world.create(name);
    const seat = await world.take(volume);
    seat.write(name);
    return {
      async act() {
        await growTo(world, volume.volumeId);
        await seat.expand(grownBytes);
        return "";
      },
      async check() {
        seat.holds(name);
        expectRoom(world, seat);
      },
      async undo() {
        await releaseAll(seat);
        await world.remove(volume);
      },
    };
  },
};

async function growTo(world: World, volumeId: string): Promise<void> {
  const capacityRange = { requiredBytes: BigInt(grownBytes) };
  await world.driver.client.controller.controllerExpandVolume({ volumeId, capacityRange });
}

async function sizeOf(world: World, volumeId: string): Promise<number> {
  const { volume } = await world.driver.client.controller.controllerGetVolume({ volumeId });
  return Number(volume?.capacityBytes);
}

/** The file system in it has grown too: it is nearer to the new size than to the old. */
function expectRoom(world: World, seat: Seat): void {
  if (world.kind.backend !== "image" || world.kind.use === "block") return;
  const { blocks, bsize } = statfsSync(seat.target);
  assert.ok(blocks * bsize > 1.5 * volumeBytes, `the file system has ${blocks * bsize} bytes after the growth`);
}
