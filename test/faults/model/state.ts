/** What an orchestrator can know of a driver's world: the state of the model. Plain data, never changed in place. */
import type { Place, Sent } from "./calls.ts";

export interface ModelVolume {
  /** "?": made by a call whose answer nobody saw. */
  readonly id: string;
  readonly mebibytes: number;
  /** The ID of what it is a copy of; empty: of nothing. */
  readonly source: string;
  /** What was written and synced, sorted. */
  readonly data: readonly number[];
  readonly attached: boolean;
  /** Empty: not staged. */
  readonly staged: Place | "";
  /** A stage or an unstage there was cut short: until one is answered, the driver may take it for staged or not. */
  readonly half: boolean;
  readonly targets: Readonly<Partial<Record<Place, "rw" | "ro">>>;
}

export interface ModelSnapshot {
  readonly id: string;
  readonly of: string;
  readonly mebibytes: number;
  readonly data: readonly number[];
}

export interface State {
  readonly volumes: Readonly<Record<string, ModelVolume>>;
  readonly snapshots: Readonly<Record<string, ModelSnapshot>>;
  /** Calls whose caller left: each may still take effect, at any moment, or never. */
  readonly pending: readonly Sent[];
}

export const nothing: State = { volumes: {}, snapshots: {}, pending: [] };

export function withVolume(state: State, slot: string, volume: ModelVolume | undefined): State {
  return { ...state, volumes: put(state.volumes, slot, volume) };
}

export function withSnapshot(state: State, slot: string, snapshot: ModelSnapshot | undefined): State {
  return { ...state, snapshots: put(state.snapshots, slot, snapshot) };
}

/** Sorted, so that the same world is the same text whatever the way to it. */
function put<T>(all: Readonly<Record<string, T>>, slot: string, one: T | undefined): Readonly<Record<string, T>> {
  const others = Object.entries(all).filter(([each]) => each !== slot);
  const entries: [string, T][] = one === undefined ? others : [...others, [slot, one]];
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function without(state: State, call: Sent): State {
  const text = JSON.stringify(call);
  return { ...state, pending: state.pending.filter((each) => JSON.stringify(each) !== text) };
}

export function withPending(state: State, call: Sent): State {
  const pending = [...without(state, call).pending, call];
  return { ...state, pending: pending.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) };
}

/** Each state once. */
export function distinct(states: Iterable<State>): State[] {
  return [...new Map([...states].map((state) => [JSON.stringify(state), state])).values()];
}
