/** Two controllers that make, grow and delete the same thing. */
import assert from "node:assert/strict";
import { statfsSync } from "node:fs";
import type { Volume } from "../../../src/csi/gen/csi_pb.ts";
import { capability, createSnapshot } from "../../support/orchestrator.ts";
import { settled } from "../again.ts";
import { mebibyte, volumeBytes } from "../world.ts";
import type { Crossing, Outcome } from "./crossing.ts";
import { expectRefused, type Pair } from "./pair.ts";

const grownBytes = 2 * volumeBytes;
const betweenBytes = volumeBytes + 64 * mebibyte;

const createSame: Crossing = {
  name: "create-same",
  async prepare(pair, name) {
    const make = async (by: 0 | 1) => (await pair.create(by, name)).volumeId;
    return {
      calls: ([0, 1, 0, 1] as const).map((by) => () => make(by)),
      async check(outcomes) {
        const volume = await settled(() => pair.create(1, name));
        for (const { answered, answer } of outcomes) if (answered) assert.equal(answer, volume.volumeId);
        assert.deepEqual(await pair.volumeIds(), [volume.volumeId]);
        await fillAndMove(pair, volume);
      },
    };
  },
};

const createDiffering: Crossing = {
  name: "create-differing",
  async prepare(pair, name) {
    const make = (by: 0 | 1) => {
      const bytes = BigInt(by === 0 ? volumeBytes : betweenBytes);
      const volumeCapabilities = [capability(pair.kind.use)];
      const capacityRange = { requiredBytes: bytes, limitBytes: bytes };
      return pair.controller(by).createVolume({ name, capacityRange, volumeCapabilities });
    };
    return {
      calls: ([0, 1] as const).map((by) => () => make(by)),
      async check(outcomes) {
        assert.ok(outcomes.filter(({ answered }) => answered).length <= 1, "both got the name");
        const won = outcomes.findIndex(({ answered }) => answered);
        const ids = await pair.volumeIds();
        if (won >= 0) assert.equal(ids.length, 1);
        const winner = won >= 0 ? (won === 0 ? 0 : 1) : await firstOf(() => make(0), ids.length > 0);
        await settled(() => make(winner));
        await expectRefused(() => make(winner === 0 ? 1 : 0), ["ALREADY_EXISTS"], "another size under the same name");
        assert.equal((await pair.volumeIds()).length, 1);
      },
    };
  },
};

/** Who has the name, where nobody was answered: 0 when the first gets it. */
async function firstOf(make: () => Promise<unknown>, taken: boolean): Promise<0 | 1> {
  try {
    await settled(make);
    return 0;
  } catch (error) {
    if (taken) return 1;
    throw error;
  }
}

const createDelete: Crossing = {
  name: "create-delete",
  async prepare(pair, name) {
    const old = await pair.filled(name, "old");
    const make = async (by: 0 | 1) => (await pair.create(by, name)).volumeId;
    const remove = (by: 0 | 1) => pair.controller(by).deleteVolume({ volumeId: old.volumeId });
    return {
      calls: [() => remove(0), () => make(1), () => remove(1), () => make(0)],
      async check(outcomes) {
        for (const by of [0, 1] as const) await settled(() => remove(by));
        const volume = await settled(() => pair.create(1, name));
        assert.notEqual(volume.volumeId, old.volumeId, "what was deleted came back");
        for (const { answered, answer } of [outcomes[1], outcomes[3]].filter((one) => one !== undefined)) {
          if (answered && answer !== old.volumeId)
            assert.equal(answer, volume.volumeId, "a late delete hit the new one");
        }
        assert.deepEqual(await pair.volumeIds(), [volume.volumeId]);
        await fillAndMove(pair, volume);
      },
    };
  },
};

const growBoth: Crossing = {
  name: "grow-both",
  on: (pool) => pool.grows,
  async prepare(pair, name) {
    const whole = await pair.availableTo(0);
    const volume = await pair.filled(name, "kept");
    return {
      calls: [() => grow(pair, volume, 0, grownBytes), () => grow(pair, volume, 1, betweenBytes)],
      async check() {
        await settled(() => grow(pair, volume, 1, grownBytes));
        for (const by of [0, 1] as const) {
          const { volume: grown } = await pair.controller(by).controllerGetVolume({ volumeId: volume.volumeId });
          assert.equal(Number(grown?.capacityBytes), grownBytes, "a growth was lost");
          assert.equal(Number(whole - (await pair.availableTo(by))), grownBytes, "what is promised");
        }
        await expectRoom(pair, volume, ["kept"]);
      },
    };
  },
};

const growStage: Crossing = {
  name: "grow-stage",
  on: (pool) => pool.grows,
  async prepare(pair, name) {
    const volume = await pair.filled(name, "kept");
    const place = pair.place(volume, "n2");
    await place.attach(0);
    return {
      calls: [() => grow(pair, volume, 1, grownBytes), () => place.take()],
      async check() {
        await settled(() => grow(pair, volume, 0, grownBytes));
        await settled(() => place.take());
        await place.holds(["kept"]);
        await pair.letGo(place);
        await expectRoom(pair, volume, ["kept"]);
      },
    };
  },
};

const snapshotSame: Crossing = {
  name: "snapshot-same",
  on: (pool) => pool.copies,
  async prepare(pair, name) {
    const sources = [await pair.filled(`${name}-a`, "a"), await pair.filled(`${name}-b`, "b")] as const;
    const cut = (by: 0 | 1) => createSnapshot(pair.drivers[by], name, sources[by].volumeId);
    return {
      calls: [() => cut(0), () => cut(1)],
      async check(outcomes) {
        assert.ok(outcomes.filter(({ answered }) => answered).length <= 1, "both got the name");
        const ids = await pair.snapshotIds();
        const won = outcomes.findIndex(({ answered }) => answered);
        const winner = won >= 0 ? (won === 0 ? 0 : 1) : await firstOf(() => cut(0), ids.length > 0);
        const fromSnapshot = await settled(() => cut(winner));
        await expectRefused(() => cut(winner === 0 ? 1 : 0), ["ALREADY_EXISTS"], "another source under the same name");
        assert.deepEqual(await pair.snapshotIds(), [fromSnapshot]);
        const copy = await settled(() => pair.create(1, `${name}-copy`, { fromSnapshot }));
        await pair.expectHolds(copy, "n2", [winner === 0 ? "a" : "b"]);
      },
    };
  },
};

const snapshotDelete: Crossing = {
  name: "snapshot-delete",
  on: (pool) => pool.copies,
  async prepare(pair, name) {
    const volume = await pair.filled(name, "kept");
    const { volumeId } = volume;
    const cut = (by: 0 | 1) => createSnapshot(pair.drivers[by], name, volumeId);
    return {
      calls: [() => cut(0), () => pair.controller(1).deleteVolume({ volumeId })],
      async check([taken, gone]) {
        const listed = await pair.snapshotIds();
        if (taken?.answered) assert.deepEqual(listed, [taken.answer], "an acknowledged snapshot");
        if (gone?.answered) assert.deepEqual(await pair.volumeIds(), [], "an acknowledged deletion");
        await settled(() => pair.controller(0).deleteVolume({ volumeId }));
        if (listed.length === 0) await expectRefused(() => cut(1), ["NOT_FOUND"], "a snapshot of what is gone");
        for (const fromSnapshot of await pair.snapshotIds()) {
          const copy = await settled(() => pair.create(1, `${name}-copy`, { fromSnapshot }));
          await pair.expectHolds(copy, "n2", ["kept"]);
        }
      },
    };
  },
};

const cloneDelete: Crossing = {
  name: "clone-delete",
  on: (pool) => pool.copies,
  async prepare(pair, name) {
    const source = await pair.filled(name, "kept");
    const fromSnapshot = await createSnapshot(pair.drivers[0], name, source.volumeId);
    const clone = () => pair.create(0, `${name}-clone`, { fromVolume: source.volumeId });
    const restore = () => pair.create(1, `${name}-restored`, { fromSnapshot });
    const { volumeId } = source;
    const removals: readonly (() => Promise<unknown>)[] = [
      () => pair.controller(1).deleteVolume({ volumeId }),
      () => pair.controller(0).deleteSnapshot({ snapshotId: fromSnapshot }),
    ];
    return {
      calls: [clone, restore, ...removals],
      async check(outcomes) {
        for (const remove of removals) await settled(remove);
        const copies = outcomes.slice(0, 2).flatMap((one) => volumeIn(one));
        const ids = await pair.volumeIds();
        for (const copy of copies) assert.ok(ids.includes(copy.volumeId), "an acknowledged copy is not there");
        // One whose answer was lost is asked for again: what it was copied from is not needed for that.
        const others = ids.length > copies.length ? [...copies, ...(await copiesAgain([clone, restore]))] : copies;
        for (const copy of others) await pair.expectHolds(copy, "n2", ["kept"]);
      },
    };
  },
};

async function copiesAgain(makers: readonly (() => Promise<Volume>)[]): Promise<Volume[]> {
  const all = await Promise.allSettled(makers.map((make) => settled(make)));
  const found = all.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  assert.ok(found.length > 0, "a copy is listed, and can't be asked for again");
  return found;
}

function volumeIn({ answered, answer }: Outcome): Volume[] {
  return answered ? [answer as Volume] : [];
}

async function grow(pair: Pair, volume: Volume, by: 0 | 1, bytes: number): Promise<void> {
  const capacityRange = { requiredBytes: BigInt(bytes) };
  await pair.controller(by).controllerExpandVolume({ volumeId: volume.volumeId, capacityRange });
}

async function expectRoom(pair: Pair, volume: Volume, seeds: readonly string[]): Promise<void> {
  const place = await pair.hold(volume, "n2");
  await place.holds(seeds);
  if (pair.kind.backend === "image" && pair.kind.use !== "block") {
    const { blocks, bsize } = statfsSync(place.seen());
    assert.ok(blocks * bsize > 1.5 * volumeBytes, `the file system has ${blocks * bsize} bytes after the growth`);
  }
  await pair.letGo(place);
}

/** Written on one node, read on the other. */
async function fillAndMove(pair: Pair, volume: Volume): Promise<void> {
  const place = await pair.hold(volume, "n2");
  await place.holds([]);
  await place.put("moved", 0);
  await pair.letGo(place);
  await pair.expectHolds(volume, "n1", ["moved"]);
}

export const making: readonly Crossing[] = [
  createSame,
  createDiffering,
  createDelete,
  growBoth,
  growStage,
  snapshotSame,
  snapshotDelete,
  cloneDelete,
];
