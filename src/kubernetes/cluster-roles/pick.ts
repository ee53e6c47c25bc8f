/** Which node gets a claim that waits for no pod. */
import type { LabelSelector } from "kubernetes-types/meta/v1.js";
import type { CSIStorageCapacity } from "kubernetes-types/storage/v1.js";
import { bytesOf, quantityOf } from "../quantity.ts";

export interface Candidate {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Wish {
  readonly bytes: bigint;
  /** Nodes that had no room for this claim a moment ago. */
  readonly refused: ReadonlySet<string>;
  /** What was promised on a node since its capacity was published, in bytes. */
  readonly promised: (node: string) => bigint;
}

export type Pick = { readonly node: string } | { readonly none: string };

/**
 * The node with the most room. `capacities` are those of the claim's class; a node for which none is published may have any: it is
 * taken only when no other fits. `none` says why, for a person.
 */
export function pickNode(
  candidates: readonly Candidate[],
  capacities: readonly CSIStorageCapacity[],
  wish: Wish,
): Pick {
  if (candidates.length === 0) return { none: "no node has this driver" };
  const rooms = candidates.map((candidate) => {
    const room = roomOn(candidate, capacities);
    return { name: candidate.name, most: room?.most, left: room && room.bytes - wish.promised(candidate.name) };
  });
  const fitting = rooms.filter(
    ({ name, left, most }) =>
      !wish.refused.has(name) && left !== undefined && left >= wish.bytes && (most === undefined || most >= wish.bytes),
  );
  const best = largest(fitting);
  if (best) return { node: best.name };
  const unknown = rooms.filter(({ name, left }) => left === undefined && !wish.refused.has(name));
  const [first] = unknown.sort((one, other) => Number(wish.promised(one.name) - wish.promised(other.name)));
  if (first) return { node: first.name };
  const most = largest(rooms);
  const shownMost = most?.left === undefined ? "" : `: the most is ${shown(most.left)} on ${most.name}`;
  return { none: `none of ${candidates.length} nodes has room for ${shown(wish.bytes)}${shownMost}` };
}

const shown = (bytes: bigint): string => quantityOf(bytes < 0n ? 0n : bytes);

function largest<T extends { readonly left?: bigint | undefined }>(rooms: readonly T[]): T | undefined {
  let best: T | undefined;
  for (const room of rooms) if (room.left !== undefined && room.left > (best?.left ?? -1n)) best = room;
  return best;
}

/** Undefined: nothing is published for the node. */
function roomOn({ labels }: Candidate, capacities: readonly CSIStorageCapacity[]) {
  for (const { nodeTopology, capacity, maximumVolumeSize } of capacities) {
    if (nodeTopology === undefined || !matches(nodeTopology, labels)) continue;
    return {
      bytes: bytesOf(capacity ?? "0"),
      most: maximumVolumeSize === undefined ? undefined : bytesOf(maximumVolumeSize),
    };
  }
  return undefined;
}

/** Kubernetes API reference, LabelSelector. */
export function matches(
  { matchLabels = {}, matchExpressions = [] }: LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  if (!Object.entries(matchLabels).every(([key, value]) => labels[key] === value)) return false;
  return matchExpressions.every(({ key, operator, values = [] }) => {
    const value = labels[key];
    if (operator === "Exists") return value !== undefined;
    if (operator === "DoesNotExist") return value === undefined;
    if (operator === "In") return value !== undefined && values.includes(value);
    return value === undefined || !values.includes(value);
  });
}
