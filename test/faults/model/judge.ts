/**
 * Decides whether what a driver answered can be: keeps every state that the world may be in, and fails when none is left.
 * Calls that ran at once may have taken effect in any order that their times allow; a call that was given up may take effect
 * at any later moment, until a repeat of it is answered or the driver is gone.
 */
import { inWords, type Outcome, type Sent, subjectsOf } from "./calls.ts";
import { type Answer, answers, type Traits } from "./rules.ts";
import { distinct, nothing, type State, without, withPending, withSnapshot, withVolume } from "./state.ts";

/** A call that was made, with its times in milliseconds. */
export interface Made {
  readonly call: Sent;
  /** Absent: nobody knows, as its caller left or the driver died. */
  readonly outcome?: Outcome | undefined;
  readonly began: number;
  readonly ended: number;
}

export class Judge {
  readonly #traits: Traits;
  /** Every identity that was told: a new volume or snapshot must have another. */
  readonly #told = new Set<string>();
  #states: State[] = [nothing];

  constructor(traits: Traits) {
    this.#traits = traits;
  }

  get states(): readonly State[] {
    return this.#states;
  }

  /** Those made at once, and nothing else meanwhile. Throws what no order of them explains. */
  see(made: readonly Made[]): void {
    const sure = made.filter((each) => each.outcome && each.outcome.code !== "ABORTED");
    const lost = made.filter((each) => !each.outcome);
    const before = this.#states;
    let states = before;
    for (const { call } of lost) states = distinct(states.flatMap((state) => [withPending(state, call)]));
    this.#states = this.#inSomeOrder(states, sure);
    if (this.#states.length === 0) throw new Error(this.#inexplicable(before, made, sure));
    for (const { call } of sure) this.#states = distinct(this.#states.map((state) => without(state, call)));
    for (const { call, outcome } of sure)
      if (outcome && (call.rpc === "create" || call.rpc === "snapshot")) this.#told.add(outcome.value);
  }

  /** Every state that the world may be in, with what may still take effect. */
  possible(): State[] {
    return this.#settle(this.#states);
  }

  /** Whether something is under way that may hold what this call needs. */
  mayBeBusy(call: Sent): boolean {
    const subjects = subjectsOf(call);
    return this.#states.some((state) =>
      state.pending.some((each) => subjectsOf(each).some((subject) => subjects.includes(subject))),
    );
  }

  /** The driver is gone, and with it all that it still did. */
  gone(): void {
    this.#states = distinct(this.#settle(this.#states).map((state) => ({ ...state, pending: [] })));
  }

  /** Every state that what is pending can lead to. */
  #settle(states: readonly State[]): State[] {
    const all = new Map<string, State>();
    const queue = [...states];
    for (let state = queue.pop(); state; state = queue.pop()) {
      const text = JSON.stringify(state);
      if (all.has(text)) continue;
      all.set(text, state);
      for (const call of state.pending) queue.push(...this.#effects(state, call));
    }
    return [...all.values()];
  }

  /** What a call without an answer may have left. */
  #effects(state: State, call: Sent): State[] {
    const done = answers(state, call, this.#traits)
      .filter(({ code }) => code === "OK")
      .map(({ next }) => without(next, call));
    if (call.rpc !== "stage" && call.rpc !== "unstage") return done;
    const volume = state.volumes[call.volume];
    if (!volume || volume.id !== call.id || Object.keys(volume.targets).length > 0) return done;
    const touched = call.rpc === "stage" ? volume.staged === "" || volume.half : volume.staged === call.at;
    if (!touched || (call.rpc === "stage" && this.#traits.attaches && !volume.attached)) return done;
    return [...done, without(withVolume(state, call.volume, { ...volume, staged: call.at, half: true }), call)];
  }

  #inSomeOrder(states: readonly State[], made: readonly Made[]): State[] {
    const whole = 2 ** made.length - 1;
    const reached = new Map<number, State[]>([[0, this.#settle(states)]]);
    for (let mask = 0; mask < whole; mask += 1) {
      const here = reached.get(mask);
      if (!here) continue;
      for (const [index, one] of made.entries()) {
        if (mask & (1 << index)) continue;
        const waits = made.some((other, at) => at !== index && !(mask & (1 << at)) && other.ended < one.began);
        if (waits) continue;
        const next = here.flatMap((state) => this.#after(state, one));
        const to = mask | (1 << index);
        reached.set(to, distinct([...(reached.get(to) ?? []), ...this.#settle(next)]));
      }
    }
    return reached.get(whole) ?? [];
  }

  #after(state: State, { call, outcome }: Made): State[] {
    if (!outcome) return [state];
    return answers(state, call, this.#traits)
      .filter((answer) => answer.code === outcome.code)
      .flatMap((answer) => this.#matched(answer, call, outcome));
  }

  /** The state after the answer, with an identity that was unknown until now; none where it says something else. */
  #matched({ value, next }: Answer, call: Sent, outcome: Outcome): State[] {
    if (outcome.code !== "OK") return [next];
    if (call.rpc === "create" || call.rpc === "snapshot") {
      if (value !== "?") return value === outcome.value ? [next] : [];
      if (this.#told.has(outcome.value)) return [];
      return [named(next, call, outcome.value)];
    }
    if (call.rpc === "list" || call.rpc === "listSnapshots") return sameList(value, outcome.value) ? [next] : [];
    return value === outcome.value ? [next] : [];
  }

  #inexplicable(before: readonly State[], made: readonly Made[], sure: readonly Made[]): string {
    const single = sure.length === 1 ? sure[0] : undefined;
    const settled = this.#settle(before);
    const allowed = single
      ? distinctTexts(settled.flatMap((state) => answers(state, single.call, this.#traits)).map(textOf))
      : [];
    const said = made.map(({ call, outcome }) => `  ${inWords(call)} -> ${outcome ? textOf(outcome) : "nobody knows"}`);
    return [
      single ? "an answer that cannot be:" : "no order of these calls explains their answers:",
      ...said,
      ...(single ? [`allowed: ${allowed.join(" | ")}`] : []),
      `the world before (${settled.length} possible, the first ones):`,
      ...settled.slice(0, 4).map((state) => `  ${JSON.stringify(state)}`),
    ].join("\n");
  }
}

function textOf({ code, value }: Outcome): string {
  return value === "" ? code : `${code} (${value})`;
}

function distinctTexts(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}

function named(state: State, call: Sent, id: string): State {
  if (call.rpc === "create") {
    const volume = state.volumes[call.volume];
    return volume ? withVolume(state, call.volume, { ...volume, id }) : state;
  }
  if (call.rpc !== "snapshot") return state;
  const snapshot = state.snapshots[call.snapshot];
  return snapshot ? withSnapshot(state, call.snapshot, { ...snapshot, id }) : state;
}

/** Entries are the same, where an unknown identity may be any. */
function sameList(model: string, seen: string): boolean {
  const left = seen === "" ? [] : seen.split(", ");
  const unknown: string[] = [];
  for (const entry of model === "" ? [] : model.split(", ")) {
    if (entry.startsWith("? ")) unknown.push(entry.slice(2));
    else if (left.includes(entry)) left.splice(left.indexOf(entry), 1);
    else return false;
  }
  for (const rest of unknown) {
    const at = left.findIndex((entry) => entry.endsWith(` ${rest}`));
    if (at < 0) return false;
    left.splice(at, 1);
  }
  return left.length === 0;
}
