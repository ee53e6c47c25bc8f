/** What a script can ask of a driver: volumes `a`, `b`, `c` and snapshots `p`, `q`, each at few places, so that calls meet. */

export const volumeSlots = ["a", "b", "c"] as const;
export const snapshotSlots = ["p", "q"] as const;
export const places = ["0", "1"] as const;
export type VolumeSlot = (typeof volumeSlots)[number];
export type SnapshotSlot = (typeof snapshotSlots)[number];
/** One of two staging paths, or of two target paths, that a volume has. */
export type Place = (typeof places)[number];
type Slot = VolumeSlot | "r";

/** Sizes are in steps of 64 MiB above 320 MiB, the least that every file system takes. */
export type Size = 0 | 1 | 2 | 3;

/** One RPC, or one read or write of a user. `r` is the volume that the end of a script restores each snapshot to. */
export type Call =
  | { readonly rpc: "create"; readonly volume: Slot; readonly size?: Size; readonly from?: VolumeSlot | SnapshotSlot }
  | { readonly rpc: "delete" | "attach" | "detach" | "get"; readonly volume: Slot }
  | { readonly rpc: "grow"; readonly volume: Slot; readonly size: Size }
  | { readonly rpc: "stage" | "unstage" | "nodeGrow"; readonly volume: Slot; readonly at: Place }
  | {
      readonly rpc: "publish";
      readonly volume: Slot;
      readonly at: Place;
      readonly target: Place;
      readonly ro?: boolean;
    }
  | { readonly rpc: "unpublish"; readonly volume: Slot; readonly target: Place }
  | { readonly rpc: "read" | "stats"; readonly volume: Slot; readonly target: Place }
  | { readonly rpc: "write"; readonly volume: Slot; readonly target: Place; readonly seed: number }
  | { readonly rpc: "snapshot"; readonly snapshot: SnapshotSlot; readonly volume: Slot }
  | { readonly rpc: "deleteSnapshot"; readonly snapshot: SnapshotSlot }
  | { readonly rpc: "list" | "listSnapshots" };

/** A call with the ID that its volume or snapshot was last known by; empty: it never had one. */
export type Sent = Call & { readonly id: string; readonly fromId: string };

/** What came back: the status by its name, and what the answer says that a repeat must say too. */
export interface Outcome {
  readonly code: string;
  readonly value: string;
}

/** Where two calls that run at once may get ABORTED: what the driver does one thing at a time with. */
export function subjectsOf(call: Call): string[] {
  // These wait for nobody.
  if (["write", "read", "get", "stats"].includes(call.rpc)) return [];
  const subjects: string[] = [];
  if ("volume" in call) subjects.push(call.volume);
  if ("snapshot" in call) subjects.push(call.snapshot);
  if ("from" in call && call.from !== undefined) subjects.push(call.from);
  return subjects;
}

export function inWords(call: Call): string {
  switch (call.rpc) {
    case "create": {
      const from = call.from === undefined ? "" : ` from ${isSnapshot(call.from) ? "snapshot" : "volume"} ${call.from}`;
      return `create ${call.volume}${call.size === undefined ? "" : ` of ${mebibytesOf(call.size)} MiB`}${from}`;
    }
    case "grow":
      return `grow ${call.volume} to ${mebibytesOf(call.size)} MiB`;
    case "stage":
    case "unstage":
      return `${call.rpc} ${call.volume} at staging path ${call.at}`;
    case "nodeGrow":
      return `expand ${call.volume} on the node at staging path ${call.at}`;
    case "publish":
      return `publish ${call.volume} from staging path ${call.at} at target ${call.target}${call.ro ? ", read-only" : ""}`;
    case "unpublish":
    case "read":
    case "stats":
      return `${call.rpc} ${call.volume} at target ${call.target}`;
    case "write":
      return `write w${call.seed} to ${call.volume} at target ${call.target}`;
    case "snapshot":
      return `snapshot ${call.snapshot} of ${call.volume}`;
    case "deleteSnapshot":
      return `delete snapshot ${call.snapshot}`;
    case "list":
      return "list volumes";
    case "listSnapshots":
      return "list snapshots";
    case "delete":
    case "attach":
    case "detach":
    case "get":
      return `${call.rpc} ${call.volume}`;
  }
}

export function isSnapshot(slot: string): slot is SnapshotSlot {
  return snapshotSlots.some((each) => each === slot);
}

export function mebibytesOf(size: Size): number {
  return 320 + 64 * size;
}
