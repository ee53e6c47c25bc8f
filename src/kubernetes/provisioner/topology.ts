/**
 * Where a volume may be: what CreateVolume is asked (CSI specification, TopologyRequirement) and what the answer means for the volume's
 * object. The same requirement as the upstream provisioner makes, so that a driver sees no difference.
 */
import type { TopologySelectorTerm, VolumeNodeAffinity } from "kubernetes-types/core/v1.js";

/** Topology keys and this place's values. */
export type Segment = Readonly<Record<string, string>>;

export interface Requirement {
  readonly requisite: readonly Segment[];
  readonly preferred: readonly Segment[];
}

export interface Place {
  /** StorageClass.allowedTopologies; absent or empty: everywhere. */
  readonly allowed?: readonly TopologySelectorTerm[];
  /** The selected node's segment. Absent: no node was selected. */
  readonly selected?: Segment;
  /** All segments that the driver's nodes have. */
  readonly all: readonly Segment[];
  /** Only the selected node's segment is asked for. */
  readonly strict: boolean;
  /** Whether all segments are asked for where neither a node nor the class says one. */
  readonly immediate: boolean;
  readonly claimName: string;
}

/** Undefined: nothing is asked for. Throws when no place is left. */
export function requirementOf(place: Place): Requirement | undefined {
  const { selected, strict } = place;
  const allowed = (place.allowed ?? []).flatMap(spread);
  if (selected && strict) {
    if (place.allowed?.length && !allowed.some((segment) => within(segment, selected))) {
      throw new Error(`the selected node's topology ${shown(selected)} is not among the class's allowed topologies`);
    }
    return { requisite: [selected], preferred: [selected] };
  }
  if (!place.allowed?.length && !selected && !place.immediate) return undefined;
  const requisite = distinct(place.allowed?.length ? allowed : place.all);
  if (requisite.length === 0) {
    if (place.allowed?.length) return undefined;
    throw new Error("no node has registered a topology of this driver yet");
  }
  if (!selected) return { requisite, preferred: rotated(requisite, spreadOf(place.claimName) % requisite.length) };
  const first = requisite.findIndex((segment) => within(segment, selected));
  if (first === -1) {
    throw new Error(`the selected node's topology ${shown(selected)} is not among those that are asked for`);
  }
  return { requisite, preferred: rotated(requisite, first) };
}

/** The labels that a node must have to use the volume; undefined where the driver told no place. */
export function affinityOf(places: readonly { readonly segments: Segment }[]): VolumeNodeAffinity | undefined {
  const terms = places
    .filter(({ segments }) => Object.keys(segments).length > 0)
    .map(({ segments }) => ({
      matchExpressions: sorted(segments).map(([key, value]) => ({ key, operator: "In", values: [value] })),
    }));
  return terms.length === 0 ? undefined : { required: { nodeSelectorTerms: terms } };
}

/** The values of `keys` among a node's labels; undefined when one is missing. */
export function segmentOf(labels: Segment | undefined, keys: readonly string[]): Segment | undefined {
  const segment: Record<string, string> = {};
  for (const key of keys) {
    const value = labels?.[key];
    if (value === undefined) return undefined;
    segment[key] = value;
  }
  return segment;
}

/** Every combination of the values that a term allows. */
function spread({ matchLabelExpressions = [] }: TopologySelectorTerm): Segment[] {
  let segments: Segment[] = [];
  for (const { key, values } of matchLabelExpressions) {
    const before = segments.length === 0 ? [{}] : segments;
    segments = values.flatMap((value) => before.map((segment) => ({ ...segment, [key]: value })));
  }
  return segments;
}

/** Whether `wide` says nothing that `narrow` does not. */
export const within = (wide: Segment, narrow: Segment): boolean =>
  Object.entries(wide).every(([key, value]) => narrow[key] === value);

const sorted = (segment: Segment): [string, string][] =>
  Object.entries(segment).sort(([one], [other]) => compare(one, other));

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

const shown = (segment: Segment): string =>
  sorted(segment)
    .map((pair) => pair.join("="))
    .join(",");

/** Each once, in an order that does not depend on the nodes': fewer keys first, then key by key. Empty ones are dropped. */
export function distinct(segments: readonly Segment[]): Segment[] {
  const pairs = new Map(segments.map((segment) => [shown(segment), Object.fromEntries(sorted(segment))]));
  return [...pairs.values()]
    .filter((segment) => Object.keys(segment).length > 0)
    .sort((one, other) => {
      const [ours, theirs] = [sorted(one), sorted(other)];
      if (ours.length !== theirs.length) return ours.length - theirs.length;
      for (const [index, [key, value]] of ours.entries()) {
        const [otherKey = "", otherValue = ""] = theirs[index] ?? [];
        const order = compare(key, otherKey) || compare(value, otherValue);
        if (order !== 0) return order;
      }
      return 0;
    });
}

const rotated = <T>(list: readonly T[], by: number): T[] => [...list.slice(by), ...list.slice(0, by)];

/**
 * A number that spreads the claims of a StatefulSet over the places, one after another: of `data-web-3` the hash of `web` plus 3,
 * so that several claims of one pod come to the same place (pkg/volume/util of Kubernetes; FNV-1, 32 bits).
 */
function spreadOf(claimName: string): number {
  const [, base, ordinal] = /^(.*)-(\d+)$/.exec(claimName) ?? [];
  if (base === undefined || Number(ordinal) > 2 ** 32 - 1) return fnv(claimName);
  return (fnv(base.slice(base.lastIndexOf("-") + 1)) + Number(ordinal)) % 2 ** 32;
}

function fnv(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = (Math.imul(hash, 0x01000193) ^ byte) >>> 0;
  return hash;
}

/** Whether a class that allows these topologies allows a node with these labels. Absent or empty: all. */
export const isAllowed = (allowed: readonly TopologySelectorTerm[] | undefined, labels: Segment): boolean =>
  !allowed?.length || allowed.flatMap(spread).some((segment) => within(segment, labels));
