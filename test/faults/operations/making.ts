import assert from "node:assert/strict";
import { createSnapshot } from "../../support/orchestrator.ts";
import { mebibyte, volumeBytes, type World } from "../world.ts";
import type { Operation, Prepared } from "./operation.ts";

export const create: Operation = {
  name: "create",
  async prepare(world, name) {
    const act = async () => (await world.create(name)).volumeId;
    return {
      act,
      seen: () => wholeVolumes(world),
      async check() {
        const volume = await world.create(name);
        await world.fill(volume, name);
        await world.expectHolds(volume, name);
      },
      undo: async () => void (await world.remove({ volumeId: await act() })),
    };
  },
};

/** A copy into a larger volume, so that the growth of the copy is in it too. */
const copyBytes = volumeBytes + 64 * mebibyte;

export const createFromSnapshot: Operation = {
  name: "create-from-snapshot",
  on: (pool) => pool.copies,
  async prepare(world, name) {
    const source = await world.create(`${name}-source`);
    await world.fill(source, name);
    const fromSnapshot = await createSnapshot(world.driver, `${name}-snapshot`, source.volumeId);
    const made = copied(world, name, { fromSnapshot });
    return {
      ...made,
      async undo() {
        await made.undo();
        await world.driver.client.controller.deleteSnapshot({ snapshotId: fromSnapshot });
        await world.remove(source);
      },
    };
  },
};

export const createFromVolume: Operation = {
  name: "create-from-volume",
  on: (pool) => pool.copies,
  async prepare(world, name) {
    const source = await world.create(`${name}-source`);
    await world.fill(source, name);
    const made = copied(world, name, { fromVolume: source.volumeId });
    return {
      ...made,
      async check() {
        await made.check();
        await world.expectHolds(source, name);
      },
      async undo() {
        await made.undo();
        await world.remove(source);
      },
    };
  },
};

function copied(world: World, name: string, from: { fromSnapshot: string } | { fromVolume: string }): Prepared {
  const make = () => world.create(name, { bytes: copyBytes, ...from });
  return {
    act: async () => (await make()).volumeId,
    seen: () => wholeVolumes(world),
    check: async () => world.expectHolds(await make(), name),
    undo: async () => void (await world.remove(await make())),
  };
}

/** Every volume that is listed is whole: it can be asked for by its ID and has a size. */
async function wholeVolumes(world: World): Promise<string[]> {
  const ids = await world.volumeIds();
  for (const volumeId of ids) {
    const { volume } = await world.driver.client.controller.controllerGetVolume({ volumeId });
    assert.ok(
      Number(volume?.capacityBytes) >= volumeBytes,
      `${volumeId} is listed with ${volume?.capacityBytes} bytes`,
    );
  }
  return ids;
}
