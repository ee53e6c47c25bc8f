/** Plays a script on a real driver and has every answer judged; at its end everything is read, restored and taken away. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { within } from "../frame/within.ts";
import type { World } from "../world.ts";
import { Caller, multiTarget } from "./caller.ts";
import { type Call, inWords, type Outcome, type Sent, snapshotSlots, subjectsOf, volumeSlots } from "./calls.ts";
import { Judge, type Made } from "./judge.ts";
import { callsOf, type Script, type Step, stepInWords, type Timed } from "./script.ts";

/** Milliseconds: no call takes longer, but for a reason. */
const callMs = 20_000;
/** Milliseconds after a start in which what a crash left may still be in work. */
const recoveryMs = 5_000;
/** Milliseconds in which what holds a volume must have let it go. */
const patienceMs = 10_000;

/** Kills the driver at moments of its own, while several scripts are played on it. */
export interface Storm {
  /** So many times by now; counted before it is killed. */
  readonly kills: number;
  /** When the driver that runs was ready, as performance.now() has it. */
  readonly since: number;
  /** Waits until a driver is there. */
  up(): Promise<void>;
}

/**
 * `storm`: others play beside this one in the same world, so listings and what is left are not judged.
 * @throws with the whole script and its answers, so far as it came.
 */
export async function play(world: World, name: string, script: Script, storm?: Storm): Promise<void> {
  const told: string[] = [];
  try {
    const player = new Player(world, name, told, storm);
    for (const [index, step] of script.entries()) {
      told.push(`${index + 1}. ${stepInWords(step)}`);
      await player.step(step);
    }
    await player.end();
    if (!storm) await world.expectEmpty();
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}\nthe script:\n${told.join("\n")}`, {
      cause: error,
    });
  }
}

class Player {
  readonly #world: World;
  readonly #caller: Caller;
  readonly #judge: Judge;
  readonly #told: string[];
  readonly #storm: Storm | undefined;
  /** Calls of which nobody knows what became of them. */
  readonly #lost: Sent[] = [];
  #started = Number.NEGATIVE_INFINITY;

  constructor(world: World, name: string, told: string[], storm: Storm | undefined) {
    this.#world = world;
    this.#storm = storm;
    this.#caller = new Caller(world, name);
    this.#told = told;
    const { shared, backend, use } = world.kind;
    const mayRefuseGrowth = backend === "image" && use === "ext4";
    this.#judge = new Judge({ attaches: shared, mayRefuseGrowth, multiTarget });
  }

  async step(step: Step): Promise<void> {
    if (!("together" in step)) {
      for (const call of callsOf(step)) await this.#alone({ call });
      return;
    }
    const [only] = step.together;
    if (only && step.together.length === 1 && !step.strike) await this.#alone(only);
    else await this.#together(step.together, step.strike);
    if (step.again) for (const { call } of step.together) await this.#alone({ call });
  }

  /** What nobody knows is found out; all data is read, all snapshots are restored and read; then all is taken away. */
  async end(): Promise<void> {
    this.#told.push("at the end:");
    for (const volume of volumeSlots) {
      if (!this.#mayBe((state) => volume in state.volumes)) continue;
      await this.#known(volume);
      for (const call of callsOf({ release: volume })) await this.#alone({ call });
      await this.#alone({ call: { rpc: "unstage", volume, at: "1" } });
      const used = this.#mayBe((state) => {
        const there = state.volumes[volume];
        return there !== undefined && (there.data.length > 0 || there.source !== "");
      });
      if (used) await this.#readOnce(volume);
    }
    for (const snapshot of snapshotSlots) {
      if (!this.#mayBe((state) => snapshot in state.snapshots)) continue;
      await this.#known(snapshot);
      await this.#alone({ call: { rpc: "create", volume: "r", from: snapshot } });
      if (this.#mayBe((state) => "r" in state.volumes)) await this.#readOnce("r");
      await this.#alone({ call: { rpc: "delete", volume: "r" } });
      await this.#alone({ call: { rpc: "deleteSnapshot", snapshot } });
    }
    for (const volume of volumeSlots) await this.#alone({ call: { rpc: "delete", volume } });
    await this.#alone({ call: { rpc: "list" } });
    await this.#alone({ call: { rpc: "listSnapshots" } });
  }

  /** Repeats the calls that made it, so that its ID is known; an orchestrator would. */
  async #known(slot: string): Promise<void> {
    const making = new Map<string, Call>();
    for (const call of this.#lost) {
      const makes =
        (call.rpc === "create" && call.volume === slot) || (call.rpc === "snapshot" && call.snapshot === slot);
      if (makes) making.set(inWords(call), call);
    }
    const ids = () => new Set(this.#judge.states.map((state) => (state.volumes[slot] ?? state.snapshots[slot])?.id));
    for (const call of making.values()) if (ids().size > 1 || ids().has("?")) await this.#resend(call);
  }

  async #readOnce(volume: "a" | "b" | "c" | "r"): Promise<void> {
    const before: Call[] = [
      { rpc: "attach", volume },
      { rpc: "stage", volume, at: "0" },
      { rpc: "publish", volume, at: "0", target: "0" },
      { rpc: "read", volume, target: "0" },
    ];
    const after: Call[] = [
      { rpc: "unpublish", volume, target: "0" },
      { rpc: "unstage", volume, at: "0" },
      { rpc: "detach", volume },
    ];
    for (const call of [...before, ...after]) await this.#alone({ call });
  }

  /** One call; what something else still holds, or a dead driver lost, is asked again, as an orchestrator does. */
  async #alone(timed: Timed): Promise<void> {
    if (!this.#wanted(timed.call, [])) return;
    await this.#judged(timed, this.#caller.address(timed.call));
  }

  /** The same call as it was sent, word for word. */
  async #resend(call: Call): Promise<void> {
    await this.#judged({ call }, call as Sent);
  }

  async #judged(timed: Timed, sent: Sent): Promise<void> {
    for (let end = performance.now() + patienceMs; ; ) {
      const made = await this.#make(timed, sent, () => false);
      if (made.outcome?.code !== "ABORTED") {
        this.#see([made]);
        if (made.outcome || timed.leaves || !this.#storm) return;
        await this.#storm.up();
        end = performance.now() + patienceMs;
        continue;
      }
      assert.ok(this.#mayBeBusy(sent), `${inWords(sent)}: ABORTED, though nothing else is under way`);
      assert.ok(performance.now() < end, `${inWords(sent)}: still ABORTED after ${patienceMs / 1000} seconds`);
      await sleep(20);
    }
  }

  async #together(
    all: readonly Timed[],
    strike: Extract<Step, { together: readonly Timed[] }>["strike"],
  ): Promise<void> {
    const calls = all.map(({ call }) => call);
    const wanted = all.filter(({ call }, index) => this.#wanted(call, calls.toSpliced(index, 1)));
    let struck = false;
    const sent = wanted.map((timed) => this.#caller.address(timed.call));
    const making = Promise.all(
      wanted.map(async (timed, index) => {
        if (timed.at) await sleep(timed.at);
        const call = sent[index];
        return call ? [await this.#make(timed, call, () => struck)] : [];
      }),
    );
    if (strike) {
      await sleep(strike.afterMs);
      struck = true;
      if (strike.signal === "SIGKILL") await this.#world.driver.kill();
      else await this.#world.driver.stop();
    }
    const made = (await making).flat();
    for (const { call, outcome } of made) {
      if (outcome?.code !== "ABORTED") continue;
      const others = made.filter((other) => other.call !== call).flatMap((other) => subjectsOf(other.call));
      const beside = subjectsOf(call).some((subject) => others.includes(subject));
      assert.ok(beside || this.#mayBeBusy(call), `${inWords(call)}: ABORTED, though nothing else concerns it`);
    }
    this.#see(made);
    await this.#storm?.up();
    if (!strike) return;
    this.#judge.gone();
    await this.#world.driver.start();
    this.#started = performance.now();
  }

  async #make({ leaves }: Timed, call: Sent, struck: () => boolean): Promise<Made> {
    const caller = new AbortController();
    const timer = leaves?.how === "cancels" ? setTimeout(() => caller.abort(), leaves.afterMs) : undefined;
    const timeoutMs = leaves?.how === "deadline" ? leaves.afterMs + 1 : callMs;
    const began = performance.now();
    const options = { signal: caller.signal, timeoutMs };
    await this.#storm?.up();
    const kills = this.#storm?.kills;
    const mayBeLost = () => struck() || leaves !== undefined || this.#storm?.kills !== kills;
    const outcome = await within(callMs + 5_000, this.#caller.make(call, options, mayBeLost), inWords(call));
    clearTimeout(timer);
    return { call, outcome, began, ended: performance.now() };
  }

  #see(made: readonly Made[]): void {
    for (const { call, outcome } of made) {
      this.#told.push(`     ${inWords(call)} -> ${outcome ? wordsOf(outcome) : "nobody knows"}`);
      if (!outcome) this.#lost.push(call);
    }
    this.#judge.see(made);
    for (const slot of [...volumeSlots, ...snapshotSlots]) {
      const ids = new Set(this.#judge.states.map((state) => (state.volumes[slot] ?? state.snapshots[slot])?.id));
      const [id, ...others] = [...ids].filter((each) => each !== undefined && each !== "?");
      // Of two answers to calls at once the older may arrive last.
      if (id !== undefined && others.length === 0) this.#caller.isNow(slot, id);
    }
  }

  #mayBeBusy(call: Sent): boolean {
    const since = Math.max(this.#started, this.#storm?.since ?? Number.NEGATIVE_INFINITY);
    return performance.now() - since < recoveryMs || this.#judge.mayBeBusy(call);
  }

  #mayBe(is: (state: Judge["states"][number]) => boolean): boolean {
    return this.#judge.states.some(is) || this.#judge.possible().some(is);
  }

  /** Not what the pool cannot do, and no use of a target that is not surely there, or that another call takes away. */
  #wanted(call: Call, beside: readonly Call[]): boolean {
    const { kind } = this.#world;
    // A listing is read entry by entry: beside other calls it is no state that ever was.
    const lists = call.rpc === "list" || call.rpc === "listSnapshots";
    if (lists && (this.#storm || beside.length > 0)) return false;
    if (call.rpc === "attach" || call.rpc === "detach") return kind.shared;
    if (call.rpc === "grow" || call.rpc === "nodeGrow") return kind.grows;
    const copies =
      "snapshot" in call || call.rpc === "listSnapshots" || (call.rpc === "create" && call.from !== undefined);
    if (copies && !kind.copies) return false;
    if (call.rpc !== "write" && call.rpc !== "read") return true;
    const takesAway = (other: Call) =>
      ["unpublish", "unstage", "publish"].includes(other.rpc) && "volume" in other && other.volume === call.volume;
    const same = (other: Call) => other.rpc === "write" && call.rpc === "write" && other.seed === call.seed;
    if (beside.some((other) => takesAway(other) || same(other))) return false;
    if (call.rpc === "read" && beside.some((other) => other.rpc === "write" && other.volume === call.volume))
      return false;
    return this.#judge.possible().every((state) => {
      const how = state.volumes[call.volume]?.targets[call.target];
      return how === "rw" || (how === "ro" && call.rpc === "read");
    });
  }
}

function wordsOf({ code, value }: Outcome): string {
  return value === "" ? code : `${code} (${value})`;
}
