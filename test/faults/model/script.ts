/** A script of calls: what fast-check makes up, shrinks, and what a found failure is written down as. */
import fc from "fast-check";
import { type Call, inWords, isSnapshot, places, type Size, type SnapshotSlot, type VolumeSlot } from "./calls.ts";

/** A call that is made `at` milliseconds after its step began, and whose caller may leave some milliseconds later. */
export interface Timed {
  readonly call: Call;
  readonly at?: number;
  readonly leaves?: { readonly how: "cancels" | "deadline"; readonly afterMs: number };
}

/** Calls at once, what happens to the driver meanwhile, and whether each is then repeated; or, as short words, calls one after another. */
export type Step =
  | { readonly together: readonly Timed[]; readonly strike?: Strike; readonly again?: boolean }
  | { readonly take: VolumeSlot; readonly seed: number }
  | { readonly release: VolumeSlot };

export interface Strike {
  readonly signal: "SIGKILL" | "SIGTERM";
  readonly afterMs: number;
}

export type Script = readonly Step[];

/** Attached, staged, published at the first places, and written to; or let go of. */
export function callsOf(step: Exclude<Step, { readonly together: readonly Timed[] }>): Call[] {
  if ("take" in step) {
    const volume = step.take;
    return [
      { rpc: "attach", volume },
      { rpc: "stage", volume, at: "0" },
      { rpc: "publish", volume, at: "0", target: "0" },
      { rpc: "write", volume, target: "0", seed: step.seed },
    ];
  }
  const volume = step.release;
  return [
    { rpc: "unpublish", volume, target: "0" },
    { rpc: "unpublish", volume, target: "1" },
    { rpc: "unstage", volume, at: "0" },
    { rpc: "detach", volume },
  ];
}

export function stepInWords(step: Step): string {
  if ("take" in step) return `attach, stage and publish ${step.take}, and write to it`;
  if ("release" in step) return `unpublish, unstage and detach ${step.release}`;
  const calls = step.together.map(({ call, at = 0, leaves }) => {
    const left = leaves ? `, ${leaves.how === "cancels" ? "cancelled" : "deadline"} after ${leaves.afterMs} ms` : "";
    return `${inWords(call)}${at > 0 ? ` ${at} ms later` : ""}${left}`;
  });
  const strike = step.strike ? [`${step.strike.signal} after ${step.strike.afterMs} ms, and a new driver`] : [];
  const all = [...calls, ...strike];
  return `${all.length > 1 ? `at once: ${all.join(" | ")}` : all.join("")}${step.again ? "; then each again" : ""}`;
}

/** Mostly the first of all, so that calls find what others made. */
const volume = fc.constantFrom<VolumeSlot>("a", "a", "a", "a", "b", "b", "c", "c");
const snapshot = fc.constantFrom<SnapshotSlot>("p", "p", "p", "q");
const place = fc.oneof(
  { weight: 4, arbitrary: fc.constant(places[0]) },
  { weight: 1, arbitrary: fc.constant(places[1]) },
);
const size = fc.constantFrom<Size>(0, 0, 0, 1, 2, 3);
const on = <R extends string>(...rpcs: R[]) => fc.record({ rpc: fc.constantFrom(...rpcs), volume });

const copied = {
  rpc: fc.constant("create" as const),
  volume: fc.constantFrom<VolumeSlot>("c", "c", "b", "a"),
  from: fc.oneof(snapshot, volume),
};
const anyCall: fc.Arbitrary<Call> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ rpc: fc.constant("create" as const), volume, size }) },
  { weight: 4, arbitrary: fc.record(copied) },
  { weight: 1, arbitrary: fc.record({ ...copied, size }) },
  { weight: 6, arbitrary: fc.record({ rpc: fc.constant("snapshot" as const), snapshot, volume }) },
  { weight: 2, arbitrary: fc.record({ rpc: fc.constant("deleteSnapshot" as const), snapshot }) },
  { weight: 4, arbitrary: on("delete") },
  { weight: 1, arbitrary: on("attach", "detach") },
  { weight: 2, arbitrary: fc.record({ rpc: fc.constant("grow" as const), volume, size }) },
  {
    weight: 5,
    arbitrary: fc.record({ rpc: fc.constantFrom("stage" as const, "unstage" as const), volume, at: place }),
  },
  { weight: 1, arbitrary: fc.record({ rpc: fc.constant("nodeGrow" as const), volume, at: place }) },
  {
    weight: 6,
    arbitrary: fc.record({
      rpc: fc.constant("publish" as const),
      volume,
      at: place,
      target: place,
      ro: fc.constantFrom(false, false, true),
    }),
  },
  { weight: 3, arbitrary: fc.record({ rpc: fc.constant("unpublish" as const), volume, target: place }) },
  { weight: 6, arbitrary: fc.record({ rpc: fc.constant("write" as const), volume, target: place, seed: fc.nat(99) }) },
  { weight: 2, arbitrary: fc.record({ rpc: fc.constant("read" as const), volume, target: place }) },
  { weight: 2, arbitrary: fc.record({ rpc: fc.constant("stats" as const), volume, target: place }) },
  { weight: 1, arbitrary: on("get") },
  { weight: 1, arbitrary: fc.record({ rpc: fc.constantFrom("list" as const, "listSnapshots" as const) }) },
);

/** Most of what a call does is over in 30 milliseconds; its first steps deserve most tries. */
const moment = fc.oneof(fc.nat(8), fc.nat(40), fc.nat(150));
const leaves = fc.record({ how: fc.constantFrom("cancels" as const, "deadline" as const), afterMs: moment });
const strike = fc.record({
  signal: fc.constantFrom("SIGKILL" as const, "SIGKILL" as const, "SIGTERM" as const),
  afterMs: moment,
});
const alone = fc.record({ call: anyCall });
const left = fc.record({ call: anyCall, leaves });
const beside: fc.Arbitrary<Timed> = fc.oneof(
  { weight: 4, arbitrary: alone },
  { weight: 2, arbitrary: fc.record({ call: anyCall, at: fc.nat(15) }) },
  { weight: 1, arbitrary: left },
);
const group = fc.array(beside, { minLength: 1, maxLength: 4, size: "max" });
/** All on one volume: what must not run at once. */
const rivals = fc
  .tuple(volume, fc.array(beside, { minLength: 2, maxLength: 4, size: "max" }))
  .map(([one, calls]) => calls.map((each) => ({ ...each, call: onto(each.call, one) })));
const crowd = fc.oneof(group, rivals);

function onto(call: Call, volume: VolumeSlot): Call {
  if (call.rpc === "create" && call.from !== undefined) return isSnapshot(call.from) ? call : { ...call, from: volume };
  return "volume" in call ? { ...call, volume } : call;
}

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ together: fc.tuple(alone) }) },
  { weight: 3, arbitrary: fc.record({ together: fc.tuple(left), again: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ together: crowd }) },
  { weight: 2, arbitrary: fc.record({ together: crowd, strike, again: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ take: volume, seed: fc.nat(99) }) },
  { weight: 2, arbitrary: fc.record({ release: volume }) },
);

/** Most calls need a volume that is there: two are made first, unless shrinking finds that they do not matter. */
const given: Script = [
  { together: [{ call: { rpc: "create", volume: "a", size: 0 } }, { call: { rpc: "create", volume: "b", size: 0 } }] },
  { take: "a", seed: 0 },
];

export const scripts: fc.Arbitrary<Script> = fc
  .tuple(fc.integer({ min: 0, max: 3 }), fc.array(anyStep, { minLength: 1, maxLength: 14, size: "max" }))
  .map(([bare, steps]) => (bare === 0 ? steps : [...given, ...steps]));
