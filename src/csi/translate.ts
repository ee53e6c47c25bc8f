/** Composite messages to and from the rules' own terms. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Problem } from "../pools/problem.ts";
import type { AccessMode, Capability, ContentSource, Segments, SnapshotView, VolumeView } from "../volumes/api.ts";
import { invalid, map, snapshotId, volumeId, word } from "./checks.ts";
import {
  VolumeCapability_AccessMode_Mode as Mode,
  type SnapshotSchema,
  type TopologyRequirement,
  type VolumeCapability,
  type VolumeContentSource,
  type VolumeContentSourceSchema,
  type VolumeSchema,
} from "./gen/csi_pb.ts";

const modes: ReadonlyMap<number, AccessMode> = new Map([
  [Mode.SINGLE_NODE_WRITER, "SINGLE_NODE_WRITER"],
  [Mode.SINGLE_NODE_READER_ONLY, "SINGLE_NODE_READER_ONLY"],
  [Mode.MULTI_NODE_READER_ONLY, "MULTI_NODE_READER_ONLY"],
  [Mode.MULTI_NODE_SINGLE_WRITER, "MULTI_NODE_SINGLE_WRITER"],
  [Mode.MULTI_NODE_MULTI_WRITER, "MULTI_NODE_MULTI_WRITER"],
  [Mode.SINGLE_NODE_SINGLE_WRITER, "SINGLE_NODE_SINGLE_WRITER"],
  [Mode.SINGLE_NODE_MULTI_WRITER, "SINGLE_NODE_MULTI_WRITER"],
]);

/** Bytes of all mount flags of a capability (spec, VolumeCapability.MountVolume). */
const largestFlags = 4096;

/** Mount flags are never shown: the spec allows secrets in them. */
export function requiredCapability(field: string, value: VolumeCapability | undefined): Capability {
  if (value === undefined) throw invalid(field, "is missing");
  const wireMode = value.accessMode?.mode ?? Mode.UNKNOWN;
  if (wireMode === Mode.UNKNOWN) throw invalid(`${field}.access_mode`, "is missing");
  const mode = modes.get(wireMode);
  if (mode === undefined) throw invalid(`${field}.access_mode`, `${wireMode} is not a mode of CSI 1.12`);
  if (value.accessType.case === undefined) throw invalid(`${field}.access_type`, "is missing: give block or mount");
  if (value.accessType.case === "block") return { access: "block", mode };
  const { fsType, mountFlags, volumeMountGroup } = value.accessType.value;
  if (volumeMountGroup !== "") {
    throw new Problem(
      "CAPABILITY_UNSUPPORTED",
      `${field}.mount.volume_mount_group is given, which this driver does not offer`,
    );
  }
  const flagBytes = mountFlags.reduce((sum, flag) => sum + Buffer.byteLength(flag), 0);
  if (flagBytes > largestFlags) {
    throw invalid(`${field}.mount.mount_flags`, `has ${flagBytes} bytes in all; at most ${largestFlags} are allowed`);
  }
  for (const flag of mountFlags) {
    if (/\p{Cc}/u.test(flag)) throw invalid(`${field}.mount.mount_flags`, "has a control character in it");
  }
  return { access: "mount", mode, fsType: word(`${field}.mount.fs_type`, fsType), mountFlags: [...mountFlags] };
}

/** At least one. */
export function requiredCapabilities(field: string, values: readonly VolumeCapability[]): Capability[] {
  if (values.length === 0) throw invalid(field, "is missing: give at least one");
  return capabilities(field, values);
}

export function capabilities(field: string, values: readonly VolumeCapability[]): Capability[] {
  return values.map((value, index) => requiredCapability(`${field}[${index}]`, value));
}

export function contentSource(field: string, value: VolumeContentSource | undefined): ContentSource | undefined {
  if (value === undefined) return undefined;
  switch (value.type.case) {
    case "snapshot":
      return { snapshotId: snapshotId(`${field}.snapshot.snapshot_id`, value.type.value.snapshotId) };
    case "volume":
      return { volumeId: volumeId(`${field}.volume.volume_id`, value.type.value.volumeId) };
    case undefined:
      throw invalid(field, "is empty: give snapshot or volume");
    default:
      return value.type satisfies never;
  }
}

export function topology(
  field: string,
  value: TopologyRequirement | undefined,
): { requisite: Segments[]; preferred: Segments[] } | undefined {
  if (value === undefined) return undefined;
  return {
    requisite: value.requisite.map((item, index) => map(`${field}.requisite[${index}]`, item.segments)),
    preferred: value.preferred.map((item, index) => map(`${field}.preferred[${index}]`, item.segments)),
  };
}

function sourceMessage(source: ContentSource): MessageInitShape<typeof VolumeContentSourceSchema> {
  return "snapshotId" in source
    ? { type: { case: "snapshot", value: { snapshotId: source.snapshotId } } }
    : { type: { case: "volume", value: { volumeId: source.volumeId } } };
}

export function volumeMessage(view: VolumeView): MessageInitShape<typeof VolumeSchema> {
  return {
    volumeId: view.id,
    capacityBytes: BigInt(view.capacity),
    volumeContext: { ...view.context },
    ...(view.source === undefined ? {} : { contentSource: sourceMessage(view.source) }),
    accessibleTopology: view.topology.map((segments) => ({ segments: { ...segments } })),
  };
}

export function snapshotMessage(view: SnapshotView): MessageInitShape<typeof SnapshotSchema> {
  return {
    snapshotId: view.id,
    sourceVolumeId: view.sourceVolumeId,
    sizeBytes: BigInt(view.size),
    creationTime: timestampFromMs(view.created),
    readyToUse: view.ready,
  };
}
