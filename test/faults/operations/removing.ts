import assert from "node:assert/strict";
import { createSnapshot } from "../../support/orchestrator.ts";
import type { Operation } from "./operation.ts";

export const remove: Operation = {
  name: "delete",
  async prepare(world, name) {
    const volume = await world.create(name);
    const kept = await world.create(`${name}-kept`);
    await world.fill(volume, name);
    await world.fill(kept, name);
    return {
      async act() {
        await world.remove(volume);
        await world.expectReclaimed();
        return "";
      },
      async check() {
        assert.deepEqual(await world.volumeIds(), [kept.volumeId]);
        await world.expectHolds(kept, name);
      },
      undo: async () => {
        await world.remove(volume);
        await world.remove(kept);
      },
    };
  },
};

export const removeSnapshot: Operation = {
  name: "delete-snapshot",
  on: (pool) => pool.copies,
  async prepare(world, name) {
    const volume = await world.create(name);
    await world.fill(volume, name);
    const snapshotId = await createSnapshot(world.driver, name, volume.volumeId);
    const go = () => world.driver.client.controller.deleteSnapshot({ snapshotId });
    return {
      async act() {
        await go();
        await world.expectReclaimed();
        return "";
      },
      async check() {
        assert.deepEqual(await world.snapshotIds(), []);
        await world.expectHolds(volume, name);
      },
      async undo() {
        await go();
        await world.remove(volume);
      },
    };
  },
};
