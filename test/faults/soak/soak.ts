/**
 * Mixed calls for a long time: made-up scripts of the model, several at once, each answer judged. First on one driver that lives
 * through it, to see whether anything of it grows; then on drivers that are killed at random moments. At each rest nothing may be left.
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import type { Part, Tries } from "../frame/part.ts";
import { play, type Storm } from "../model/player.ts";
import { type Script, scripts } from "../model/script.ts";
import { type PoolKind, pools } from "../pools.ts";
import { World } from "../world.ts";
import { Killer } from "./storm.ts";
import { growthAnHour, look, type Vitals } from "./vitals.ts";

/** `npm run test:soak -- --minutes N`, for each pool. */
const minutes = Number(process.env["HOLDFAST_SOAK_MINUTES"] ?? 2);
const sampleSeconds = 5;
const players = 4;
/** Milliseconds after the last call until the driver has let go of what it keeps for the next. */
const restMs = 600;
/** Descriptors that may be more: one that is closed a moment later. */
const slack = 3;

export const soak: readonly Part[] = pools.map((pool, index) => ({
  fault: "soak",
  pool: pool.name,
  operation: "mixed",
  sample: index === 0,
  seconds: minutes * 60,
  run: (tries: Tries) => run(pool, tries),
}));

async function run(pool: PoolKind, tries: Tries): Promise<void> {
  const scratch = tries.scratch();
  try {
    const world = await World.make(pool, scratch);
    if (tries.at !== undefined) {
      const only = tries.at;
      await tries.try(only, () => play(world, `soak-${only}`, scriptAt(tries.seed, Number(only))));
      return;
    }
    const seconds = tries.sample ? sampleSeconds : minutes * 60;
    const load = new Load(world, tries);
    const looks = await load.steadily(seconds / 2);
    const killer = await load.killing(seconds / 2);
    if (load.failed) return;
    await tries.try("flat", async () => expectFlat(looks, look(world.driver.pid, 0), seconds));
    console.log(`soak ${pool.name}: ${load.played} scripts, ${killer.kills} kills; ${inWords(looks)}`);
  } finally {
    await scratch.end();
  }
}

/** Without strikes of its own: here the driver is everybody's. */
function scriptAt(seed: number, index: number): Script {
  const [script = []] = fc.sample(scripts, { seed: seed * 1_000_003 + index, numRuns: 1 });
  return script.map((step) => ("together" in step ? { together: step.together, again: step.again ?? false } : step));
}

class Load {
  readonly #world: World;
  readonly #tries: Tries;
  readonly #killer: Killer;
  played = 0;
  failed = false;

  constructor(world: World, tries: Tries) {
    this.#world = world;
    this.#tries = tries;
    this.#killer = new Killer(world.driver);
  }

  /** On one driver, with a rest and a look at it again and again. */
  async steadily(seconds: number): Promise<Vitals[]> {
    const began = performance.now();
    const rests = Math.max(3, Math.min(20, Math.round(seconds / 5)));
    const looks: Vitals[] = [];
    for (let rest = 1; rest <= rests && !this.failed; rest += 1) {
      await this.#play(began + (seconds * 1000 * rest) / rests, this.#killer);
      await this.#rest();
      looks.push(look(this.#world.driver.pid, began));
    }
    return looks;
  }

  async killing(seconds: number): Promise<Killer> {
    const began = performance.now();
    const rests = Math.max(1, Math.min(6, Math.round(seconds / 20)));
    for (let rest = 1; rest <= rests && !this.failed; rest += 1) {
      const end = began + (seconds * 1000 * rest) / rests;
      await Promise.all([this.#play(end, this.#killer), this.#killer.kill(end, () => this.failed)]);
      await this.#rest();
    }
    return this.#killer;
  }

  async #play(end: number, storm: Storm): Promise<void> {
    const player = async () => {
      while (performance.now() < end && !this.failed) {
        const index = this.played;
        this.played += 1;
        const held = await this.#tries.try(String(index), () =>
          play(this.#world, `soak-${index}`, scriptAt(this.#tries.seed, index), storm),
        );
        if (!held) this.failed = true;
      }
    };
    await Promise.all(Array.from({ length: players }, player));
  }

  /** Nobody calls: nothing may be left of all that was. */
  async #rest(): Promise<void> {
    if (this.failed) return;
    const held = await this.#tries.try(`rest-${this.played}`, () => this.#world.expectEmpty());
    if (!held) this.failed = true;
    await sleep(restMs);
  }
}

/** Compared with what it was once warm: after the first third of the looks. */
function expectFlat(looks: readonly Vitals[], last: Vitals, seconds: number): void {
  const warm = looks.slice(Math.floor(looks.length / 3));
  const [first] = warm;
  assert.ok(first, "nobody looked");
  for (const one of [...warm, last]) {
    assert.ok(one.descriptors <= first.descriptors + slack, `descriptors grow: ${inWords(looks)}`);
    assert.ok(one.threads <= first.threads + slack, `threads grow: ${inWords(looks)}`);
  }
  if (seconds < 60) return;
  const grown = (growthAnHour(warm, ({ memory }) => memory) * seconds) / 2 / 3600;
  assert.ok(grown < mayGrow, `memory grew by ${grown.toFixed(1)} MiB since it was warm: ${inWords(looks)}`);
}

/** MiB by which a garbage collector's moments may tilt the line. */
const mayGrow = 16;

function inWords(looks: readonly Vitals[]): string {
  const each = (of: (one: Vitals) => number) => looks.map((one) => of(one).toFixed(0)).join(" ");
  return `descriptors ${each((one) => one.descriptors)}; threads ${each((one) => one.threads)}; own memory ${each((one) => one.memory)} MiB`;
}
