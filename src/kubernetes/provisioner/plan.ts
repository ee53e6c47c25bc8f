/**
 * What is going to be made for a claim, decided once: every repeat of the call, by this process or by the one after it, asks the driver for
 * exactly the same, whatever became of the class or the claim meanwhile.
 */
import type { PersistentVolume } from "kubernetes-types/core/v1.js";
import { quantityOf } from "../quantity.ts";
import type { Capability } from "../volume-capability.ts";
import { identityAttribute } from "./names.ts";
import type { Secret } from "./parameters.ts";
import { affinityOf, type Requirement, type Segment } from "./topology.ts";

/** Where the first content comes from. */
export interface Source {
  readonly kind: "snapshot" | "volume";
  /** At the driver. */
  readonly id: string;
}

/** JSON: it is kept in a file. No secret is in it, only the name of one. */
export interface Plan {
  readonly claim: { readonly uid: string; readonly namespace: string; readonly name: string };
  /** The name of the volume, at the driver and in the cluster. */
  readonly name: string;
  /** In decimal. */
  readonly bytes: string;
  readonly capabilities: readonly Capability[];
  readonly parameters: Readonly<Record<string, string>>;
  readonly mutableParameters: Readonly<Record<string, string>>;
  readonly source?: Source;
  /** The source's object, in the claim's namespace. */
  readonly from?: { readonly kind: Source["kind"]; readonly name: string };
  readonly topology?: Requirement;
  readonly secret?: Secret;
  /** The volume's object without what the driver's answer tells. */
  readonly volume: PersistentVolume;
}

const topologiesOf = (segments: readonly Segment[]) => segments.map((segment) => ({ segments: { ...segment } }));

export function createRequestOf(plan: Plan, secrets: Record<string, string>) {
  const { source, topology } = plan;
  return {
    name: plan.name,
    capacityRange: { requiredBytes: BigInt(plan.bytes) },
    volumeCapabilities: [...plan.capabilities],
    parameters: { ...plan.parameters },
    mutableParameters: { ...plan.mutableParameters },
    secrets,
    ...(source && { volumeContentSource: { type: contentSourceOf(source) } }),
    ...(topology && {
      accessibilityRequirements: {
        requisite: topologiesOf(topology.requisite),
        preferred: topologiesOf(topology.preferred),
      },
    }),
  };
}

const contentSourceOf = ({ kind, id }: Source) =>
  kind === "snapshot"
    ? { case: "snapshot" as const, value: { snapshotId: id } }
    : { case: "volume" as const, value: { volumeId: id } };

/** What CreateVolume answered, as far as it is used. */
export interface Made {
  readonly volumeId: string;
  /** 0: the driver does not know. */
  readonly capacityBytes: bigint;
  readonly volumeContext: Readonly<Record<string, string>>;
  readonly contentSource?: unknown;
  readonly accessibleTopology: readonly { readonly segments: Segment }[];
}

/** Why the volume is not what was asked for; undefined: it is. */
export function faultOf(plan: Plan, made: Made): string | undefined {
  if (made.capacityBytes !== 0n && made.capacityBytes < BigInt(plan.bytes)) {
    return `the driver made a volume of ${made.capacityBytes} bytes where ${plan.bytes} were asked for`;
  }
  if (plan.source && made.contentSource === undefined) {
    return `the driver made an empty volume where the content of a ${plan.source.kind} was asked for`;
  }
  return undefined;
}

/** The volume's object. `identity` tells in its attributes who made it; absent `withTopology`: the driver has none. */
export function volumeOf(plan: Plan, made: Made, identity: string, withTopology: boolean): PersistentVolume {
  const { volume } = plan;
  const bytes = made.capacityBytes === 0n ? BigInt(plan.bytes) : made.capacityBytes;
  const affinity = withTopology ? affinityOf(made.accessibleTopology) : undefined;
  return {
    ...volume,
    spec: {
      ...volume.spec,
      capacity: { storage: quantityOf(bytes) },
      ...(affinity && { nodeAffinity: affinity }),
      csi: {
        driver: "",
        ...volume.spec?.csi,
        volumeHandle: made.volumeId,
        volumeAttributes: { [identityAttribute]: identity, ...made.volumeContext },
      },
    },
  };
}
