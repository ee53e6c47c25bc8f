import assert from "node:assert/strict";
import { createSnapshot } from "../../support/orchestrator.ts";
import { attempt, run } from "../../support/run.ts";
import { settled } from "../again.ts";
import { within } from "../frame/within.ts";
import { releaseAll, type World } from "../world.ts";
import type { Operation } from "./operation.ts";

export const snapshot: Operation = {
  name: "snapshot",
  on: (pool) => pool.copies,
  async prepare(world, name) {
    const volume = await world.create(name);
    await world.fill(volume, name);
    const act = () => createSnapshot(world.driver, name, volume.volumeId);
    return {
      act,
      seen: () => wholeSnapshots(world),
      async check() {
        await expectRestores(world, name, await act());
        await world.expectHolds(volume, name);
      },
      async undo() {
        await world.driver.client.controller.deleteSnapshot({ snapshotId: await act() });
        await world.remove(volume);
      },
    };
  },
};

/** Of a volume that is mounted or open as a device: it is frozen or flushed, and must never stay frozen. */
export const snapshotInUse: Operation = {
  name: "snapshot-in-use",
  on: (pool) => pool.copies,
  async prepare(world, name) {
    const volume = await world.create(name);
    const seat = await world.take(volume);
    seat.write(name);
    const act = () => createSnapshot(world.driver, name, volume.volumeId);
    return {
      act,
      seen: async () => {
        if (world.kind.use !== "block") await expectThawed(seat.target);
        return wholeSnapshots(world);
      },
      async check() {
        seat.holds(name);
        await expectRestores(world, name, await act());
      },
      async undo() {
        // The helper that freezes may outlive its driver by a moment, with the file system open.
        await settled(() => releaseAll(seat), ["FAILED_PRECONDITION"]);
        await world.driver.client.controller.deleteSnapshot({ snapshotId: await act() });
        await world.remove(volume);
      },
    };
  },
};

/** By a process of its own: a write to what is frozen hangs in the kernel, and would hold this one too. */
async function expectThawed(mountPath: string): Promise<void> {
  const write = run("sh", ["-c", `echo written >'${mountPath}/after-the-cut' && sync '${mountPath}/after-the-cut'`]);
  try {
    await within(5_000, write, `a write to ${mountPath}, which is still frozen`);
  } catch (error) {
    await attempt("fsfreeze", ["--unfreeze", mountPath]);
    throw error;
  }
}

async function expectRestores(world: World, name: string, fromSnapshot: string): Promise<void> {
  const restored = await world.create(`${name}-restored`, { fromSnapshot });
  await world.expectHolds(restored, name);
  await world.remove(restored);
}

async function wholeSnapshots(world: World): Promise<string[]> {
  if (!world.kind.copies) return [];
  const { entries } = await world.driver.client.controller.listSnapshots({});
  for (const { snapshot: found } of entries) assert.ok(found?.readyToUse, "a snapshot is listed that is not ready");
  return entries.flatMap(({ snapshot: found }) => (found ? [found.snapshotId] : []));
}
