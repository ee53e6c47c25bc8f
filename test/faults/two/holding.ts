/** Two nodes that want the same volume. */
import assert from "node:assert/strict";
import { settled } from "../again.ts";
import { type Crossing, insisting } from "./crossing.ts";
import { expectRefused, type NodeId, type Pair, type Place } from "./pair.ts";

const attachBoth: Crossing = {
  name: "attach-both",
  async prepare(pair, name) {
    const volume = await pair.filled(name, "kept");
    const places = [pair.place(volume, "n1"), pair.place(volume, "n2")] as const;
    return {
      calls: [() => places[0].attach(0), () => places[1].attach(1)],
      async check(outcomes) {
        const won = outcomes.flatMap(({ answered }, at) => (answered ? [at === 0 ? "n1" : "n2"] : []));
        assert.ok(won.length <= 1, "both nodes were told that they hold it");
        const holders = await pair.holdersOf(volume);
        if (won.length > 0) assert.deepEqual(holders, won, "an acknowledged attachment");
        const [mine, other] = holders[0] === "n2" ? [places[1], places[0]] : places;
        await settled(() => mine.attach(1));
        // Before it is open, for nobody could open it a second time anyway.
        await expectRefused(() => other.take(), ["FAILED_PRECONDITION"], "the stage of a node that does not hold it");
        await settled(() => mine.take());
        await mine.holds(["kept"]);
        await expectRefused(() => other.attach(0), ["FAILED_PRECONDITION"], "a second attachment");
        await expectRefused(() => mine.detach(1), ["FAILED_PRECONDITION"], "the detach of what is open");
      },
    };
  },
};

/** For one of the two nodes, for they die in different ways: with the second its mounts go. */
const detachStage = (node: NodeId): Crossing => ({
  name: `detach-stage-${node}`,
  async prepare(pair, name) {
    const volume = await pair.filled(name, "kept");
    const place = pair.place(volume, node);
    const other = pair.place(volume, node === "n1" ? "n2" : "n1");
    await place.attach(0);
    return {
      calls: [() => place.take(), () => place.detach(1)],
      async check([taken, detached]) {
        assert.ok(!(taken?.answered && detached?.answered), "it was detached while it was open");
        if (detached?.answered) {
          assert.deepEqual(await pair.holdersOf(volume), [], "an acknowledged detach");
          await expectRefused(() => place.take(), ["FAILED_PRECONDITION"], "the stage of a node that lost it");
          await settled(() => other.attach(0));
          await settled(() => other.take());
          await other.holds(["kept"]);
          return;
        }
        if (taken?.answered) assert.deepEqual(await pair.holdersOf(volume), [node], "it is open there");
        await settled(() => place.attach(1));
        await settled(() => place.take());
        await place.holds(["kept"]);
        await expectRefused(() => other.attach(0), ["FAILED_PRECONDITION"], "a second attachment");
      },
    };
  },
});

const move: Crossing = {
  name: "move",
  async prepare(pair, name) {
    const volume = await pair.create(0, name);
    const from = await pair.hold(volume, "n1");
    await from.put("kept", 0);
    const to = pair.place(volume, "n2");
    return {
      calls: [
        () => insisting(() => from.release()),
        () => insisting(() => from.detach(1)),
        () => insisting(() => to.attach(0)),
        () => insisting(() => to.take()),
      ],
      async check([, , attached, taken]) {
        if (attached?.answered) assert.deepEqual(await pair.holdersOf(volume), ["n2"], "an acknowledged attachment");
        // Also by a controller that died before it could answer.
        if (taken?.answered) assert.deepEqual(await pair.holdersOf(volume), ["n2"], "it is open there");
        if (!taken?.answered) await settled(() => from.release());
        await settled(() => from.detach(1));
        await settled(() => to.attach(1));
        await settled(() => to.take());
        await to.holds(["kept"]);
        await expectRefused(() => from.take(), ["FAILED_PRECONDITION"], "the stage of a node that gave it away");
      },
    };
  },
};

const attachDelete: Crossing = {
  name: "attach-delete",
  async prepare(pair, name) {
    const volume = await pair.filled(name, "kept");
    const { volumeId } = volume;
    const place = pair.place(volume, "n2");
    return {
      calls: [() => place.attach(0), () => pair.controller(1).deleteVolume({ volumeId })],
      async check([attached, gone]) {
        assert.ok(!(attached?.answered && gone?.answered), "it was deleted while it was attached");
        if (gone?.answered) assert.deepEqual(await pair.volumeIds(), [], "an acknowledged deletion");
        if ((await pair.volumeIds()).length === 0) {
          await expectRefused(() => place.attach(0), ["NOT_FOUND"], "the attachment of what is gone");
          return;
        }
        await settled(() => place.attach(1));
        await settled(() => place.take());
        await place.holds(["kept"]);
        await expectRefused(
          () => pair.controller(0).deleteVolume({ volumeId }),
          ["FAILED_PRECONDITION"],
          "the deletion of what is open",
        );
      },
    };
  },
};

/** What can be taken from a node that lives: its files get new inodes. */
const fences: Crossing["on"] = (pool) => pool.backend === "image";

/** The node that was fenced is gone at last, and the other lets go too. */
async function handOver(pair: Pair, old: Place, next: Place): Promise<void> {
  await old.powerOff();
  await pair.letGo(next);
  await settled(() => old.release());
}

/** The node is thought to be dead, and writes on. */
const forceWrite: Crossing = {
  name: "force-write",
  on: fences,
  async prepare(pair, name) {
    const volume = await pair.create(0, name);
    const old = await pair.hold(volume, "n1");
    await old.put("before", 0);
    const next = pair.place(volume, "n2");
    return {
      calls: [
        () => pair.forceDetach(volume),
        () => old.put("during", 1),
        () => insisting(() => next.attach(1)),
        () => insisting(() => next.take()),
      ],
      async check() {
        await settled(() => next.attach(0));
        await settled(() => next.take());
        await next.holds(["before"], "during");
        await old.put("late", 2);
        await next.put("new", 1);
        await old.put("later", pair.kind.use === "block" ? 1 : 3);
        await handOver(pair, old, next);
        await (await pair.hold(volume, "n1")).holds(["before", "new"], "during");
      },
    };
  },
};

const forceStage: Crossing = {
  name: "force-stage",
  on: fences,
  async prepare(pair, name) {
    const volume = await pair.filled(name, "kept");
    const old = pair.place(volume, "n1");
    await old.attach(1);
    const next = pair.place(volume, "n2");
    return {
      calls: [() => old.take(), () => pair.forceDetach(volume)],
      async check([taken]) {
        await settled(() => next.attach(0));
        await settled(() => next.take());
        await next.holds(["kept"]);
        if (taken?.answered) await old.put("late", 1);
        await next.put("new", 1);
        await handOver(pair, old, next);
        await pair.expectHolds(volume, "n2", ["kept", "new"]);
      },
    };
  },
};

/** The operator's command dies in the midst of it, several times, while the old node writes. */
const forceKilled: Crossing = {
  name: "force-killed",
  on: fences,
  async prepare(pair, name) {
    const volume = await pair.create(0, name);
    const old = await pair.hold(volume, "n1");
    await old.put("before", 0);
    const next = pair.place(volume, "n2");
    return {
      calls: [
        async () => {
          for (const ms of [150, 250, 350, 450, 550, 650, 750]) await pair.forceDetach(volume, ms);
        },
        () => old.put("during", 1),
      ],
      async check() {
        await pair.forceDetach(volume);
        await settled(() => next.attach(0));
        await settled(() => next.take());
        await next.holds(["before"], "during");
        await next.put("new", 1);
        await old.put("late", pair.kind.use === "block" ? 1 : 3);
        await handOver(pair, old, next);
        await (await pair.hold(volume, "n1")).holds(["before", "new"], "during");
      },
    };
  },
};

export const holding: readonly Crossing[] = [
  attachBoth,
  detachStage("n1"),
  detachStage("n2"),
  move,
  attachDelete,
  forceWrite,
  forceStage,
  forceKilled,
];
