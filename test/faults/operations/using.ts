import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { releaseAll, takeAll } from "../world.ts";
import type { Operation } from "./operation.ts";

/** The steps of a use, in their order: each operation below is one of them, after those before it. */
const steps = ["attach", "stage", "publish", "unpublish", "unstage", "detach"] as const;

function using(name: string, step: (typeof steps)[number], more: { fresh: boolean; on?: Operation["on"] }): Operation {
  return {
    name,
    ...(more.on ? { on: more.on } : {}),
    async prepare(world, label) {
      const volume = await world.create(label);
      if (!more.fresh) await world.fill(volume, label);
      const seat = world.seat(volume);
      for (const before of steps.slice(0, steps.indexOf(step))) await seat[before]();
      return {
        async act() {
          await seat[step]();
          return "";
        },
        async check() {
          if (step === "unpublish") assert.ok(!existsSync(seat.target), "the target is left");
          const again = steps.indexOf(step) < steps.indexOf("unpublish") ? seat : world.seat(volume);
          if (again !== seat) await releaseAll(seat);
          await takeAll(again);
          if (!more.fresh) again.holds(label);
          again.write(`${label}-new`);
          await releaseAll(again);
          await world.expectHolds(volume, `${label}-new`);
        },
        async undo() {
          await releaseAll(seat);
          await world.remove(volume);
        },
      };
    },
  };
}

const attaches: Operation["on"] = (pool) => pool.shared;

export const uses: readonly Operation[] = [
  using("attach", "attach", { fresh: true, on: attaches }),
  using("stage-first", "stage", { fresh: true }),
  using("stage", "stage", { fresh: false }),
  using("publish", "publish", { fresh: false }),
  using("unpublish", "unpublish", { fresh: false }),
  using("unstage", "unstage", { fresh: false }),
  using("detach", "detach", { fresh: false, on: attaches }),
];
