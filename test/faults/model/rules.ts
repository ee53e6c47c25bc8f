/**
 * Which answer each RPC may give in which state, and what is true afterwards: the promises of the CSI specification (the
 * error tables of its RPCs) in about a page, written without a look at how the driver keeps them.
 */
import { type Call, isSnapshot, mebibytesOf, type Sent } from "./calls.ts";
import { type ModelVolume, type State, withSnapshot, withVolume } from "./state.ts";

/** What the kind of pool decides. */
export interface Traits {
  /** Volumes are attached before they are staged. */
  readonly attaches: boolean;
  /** A mounted file system may refuse to grow: FAILED_PRECONDITION. */
  readonly mayRefuseGrowth: boolean;
  /** Volumes that may be published at two targets. */
  readonly multiTarget: readonly string[];
}

export interface Answer {
  readonly code: string;
  /** What the answer says; "?": a new identity. */
  readonly value: string;
  readonly next: State;
}

type Of<R extends Call["rpc"]> = Extract<Sent, { readonly rpc: R }>;

export function answers(state: State, call: Sent, traits: Traits): Answer[] {
  const refuse = (code: string): Answer[] => [{ code, value: "", next: state }];
  switch (call.rpc) {
    case "create":
      return create(state, call);
    case "snapshot":
      return snapshot(state, call);
    case "deleteSnapshot":
      return ok(state.snapshots[call.snapshot]?.id === call.id ? withSnapshot(state, call.snapshot, undefined) : state);
    case "list":
      return ok(
        state,
        listed(Object.values(state.volumes).map((each) => `${each.id} ${each.mebibytes} ${each.attached}`)),
      );
    case "listSnapshots":
      return ok(state, listed(Object.values(state.snapshots).map((each) => `${each.id} ${each.mebibytes} ${each.of}`)));
    case "delete":
    case "attach":
    case "detach":
    case "get":
    case "grow":
    case "stage":
    case "unstage":
    case "nodeGrow":
    case "publish":
    case "unpublish":
    case "write":
    case "stats":
    case "read": {
      const volume = state.volumes[call.volume];
      if (!volume || volume.id !== call.id) return forgives.includes(call.rpc) ? ok(state) : refuse("NOT_FOUND");
      return worldsOf(volume).flatMap((world) =>
        used(world, call, traits).map(([code, next, value = ""]) => {
          const after =
            next && volume.half && !settles(call, code) ? { ...next, staged: volume.staged, half: true } : next;
          return { code, value, next: withVolume(state, call.volume, after) };
        }),
      );
    }
  }
}

/** Of what is not there these are done already; the others say NOT_FOUND. */
const forgives: readonly Call["rpc"][] = ["delete", "detach", "unstage", "unpublish"];

function ok(next: State, value = ""): Answer[] {
  return [{ code: "OK", value, next }];
}

/** As the model writes down a listing, whatever its order. */
export function listed(entries: readonly string[]): string {
  return [...entries].sort().join(", ");
}

function create(state: State, call: Of<"create">): Answer[] {
  const refuse = (code: string): Answer[] => [{ code, value: "", next: state }];
  const asked = call.size === undefined ? 0 : mebibytesOf(call.size);
  const there = state.volumes[call.volume];
  if (there) {
    const same = there.source === call.fromId && there.mebibytes >= asked;
    return same ? ok(state, there.id) : refuse("ALREADY_EXISTS");
  }
  const blank = { id: "?", attached: false, staged: "", half: false, targets: {} } as const;
  if (call.from === undefined) {
    const made = { ...blank, mebibytes: asked, source: "", data: [] };
    return ok(withVolume(state, call.volume, made), "?");
  }
  const source = isSnapshot(call.from) ? state.snapshots[call.from] : state.volumes[call.from];
  if (!source || source.id !== call.fromId) return refuse("NOT_FOUND");
  if (asked !== 0 && asked < source.mebibytes) return refuse("OUT_OF_RANGE");
  const mebibytes = Math.max(asked, source.mebibytes);
  return ok(withVolume(state, call.volume, { ...blank, mebibytes, source: call.fromId, data: source.data }), "?");
}

function snapshot(state: State, call: Of<"snapshot">): Answer[] {
  const there = state.snapshots[call.snapshot];
  if (there) return there.of === call.id ? ok(state, there.id) : [{ code: "ALREADY_EXISTS", value: "", next: state }];
  const source = state.volumes[call.volume];
  if (!source || source.id !== call.id) return [{ code: "NOT_FOUND", value: "", next: state }];
  const { mebibytes, data } = source;
  return ok(withSnapshot(state, call.snapshot, { id: "?", of: call.id, mebibytes, data }), "?");
}

/** What is half staged is staged or not; published, it is staged for sure. */
function worldsOf(volume: ModelVolume): ModelVolume[] {
  if (!volume.half) return [volume];
  const staged = { ...volume, half: false };
  return Object.keys(volume.targets).length > 0 ? [staged] : [staged, { ...staged, staged: "" }];
}

function settles(call: Sent, code: string): boolean {
  return (
    code === "OK" && (call.rpc === "stage" || call.rpc === "unstage" || call.rpc === "delete" || call.rpc === "detach")
  );
}

type Possible = readonly [code: string, next: ModelVolume | undefined, value?: string];

/** The calls on a volume that is there. */
function used(
  volume: ModelVolume,
  call: Exclude<Sent, { readonly rpc: "create" | "snapshot" | "deleteSnapshot" | "list" | "listSnapshots" }>,
  traits: Traits,
): Possible[] {
  const refuse = (code: string): Possible[] => [[code, volume]];
  const published = Object.keys(volume.targets).length > 0;
  switch (call.rpc) {
    case "delete":
      return volume.attached || volume.staged !== "" ? refuse("FAILED_PRECONDITION") : [["OK", undefined]];
    case "grow": {
      const mebibytes = Math.max(volume.mebibytes, mebibytesOf(call.size));
      return [["OK", { ...volume, mebibytes }, String(mebibytes)]];
    }
    case "attach":
      return traits.attaches ? [["OK", { ...volume, attached: true }]] : refuse("UNIMPLEMENTED");
    case "detach":
      if (!traits.attaches) return refuse("UNIMPLEMENTED");
      if (!volume.attached) return refuse("OK");
      return volume.staged !== "" ? refuse("FAILED_PRECONDITION") : [["OK", { ...volume, attached: false }]];
    case "stage":
      if (traits.attaches && !volume.attached) return refuse("FAILED_PRECONDITION");
      if (volume.staged !== "" && volume.staged !== call.at) return refuse("ALREADY_EXISTS");
      return [["OK", { ...volume, staged: call.at }]];
    case "unstage":
      if (volume.staged !== call.at) return refuse("OK");
      return published ? refuse("FAILED_PRECONDITION") : [["OK", { ...volume, staged: "" }]];
    case "publish": {
      if (volume.staged !== call.at) return refuse("FAILED_PRECONDITION");
      const how = call.ro ? "ro" : "rw";
      const there = volume.targets[call.target];
      if (there !== undefined) return refuse(there === how ? "OK" : "ALREADY_EXISTS");
      if (published && !traits.multiTarget.includes(call.volume)) return refuse("FAILED_PRECONDITION");
      return [["OK", { ...volume, targets: inOrder({ ...volume.targets, [call.target]: how }) }]];
    }
    case "unpublish": {
      const { [call.target]: _, ...targets } = volume.targets;
      return [["OK", { ...volume, targets }]];
    }
    case "nodeGrow":
      if (volume.staged !== call.at) return refuse("NOT_FOUND");
      return [...refuse("OK"), ...(traits.mayRefuseGrowth ? refuse("FAILED_PRECONDITION") : [])];
    case "get":
      return [["OK", volume, `${volume.mebibytes} ${volume.attached}`]];
    case "stats":
      return refuse(call.target in volume.targets ? "OK" : "NOT_FOUND");
    case "write":
      return [["OK", { ...volume, data: [...new Set([...volume.data, call.seed])].sort((a, b) => a - b) }]];
    case "read":
      return [["OK", volume, volume.data.join()]];
  }
}

function inOrder(targets: ModelVolume["targets"]): ModelVolume["targets"] {
  return Object.fromEntries(Object.entries(targets).sort(([a], [b]) => (a < b ? -1 : 1)));
}
