/** From what was typed to CSI's messages, and from these to what is printed. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { formatSize } from "../config/size.ts";
import {
  VolumeCapability_AccessMode_Mode as Mode,
  type Snapshot,
  type Topology,
  type Volume,
  type VolumeCapabilitySchema,
} from "../csi/gen/csi_pb.ts";
import type { CapabilityOptions } from "./options.ts";
import { mapText } from "./output.ts";

export function capabilityOf(options: CapabilityOptions): MessageInitShape<typeof VolumeCapabilitySchema> {
  return {
    accessMode: { mode: Mode[options.mode] },
    accessType: options.block
      ? { case: "block", value: {} }
      : { case: "mount", value: { fsType: options.fsType ?? "", mountFlags: [...(options.mountFlag ?? [])] } },
  };
}

/** A volume as it is printed. */
export interface VolumeView {
  readonly id: string;
  readonly capacityBytes: number;
  readonly context: Record<string, string>;
  readonly source?: string;
  readonly topology: Record<string, string>[];
  readonly nodes: string[];
}

export function volumeView(volume: Volume | undefined, nodes: string[] = []): VolumeView {
  const source = volume?.contentSource?.type;
  const from =
    source?.case === "snapshot"
      ? `snapshot ${source.value.snapshotId}`
      : source?.case === "volume"
        ? `volume ${source.value.volumeId}`
        : undefined;
  return {
    id: volume?.volumeId ?? "",
    capacityBytes: Number(volume?.capacityBytes ?? 0n),
    context: { ...volume?.volumeContext },
    ...(from === undefined ? {} : { source: from }),
    topology: (volume?.accessibleTopology ?? []).map((place: Topology) => ({ ...place.segments })),
    nodes,
  };
}

export function volumePairs(volume: VolumeView): [string, string][] {
  return [
    ["id", volume.id],
    ["size", sizeText(volume.capacityBytes)],
    ["source", volume.source ?? "-"],
    ["topology", volume.topology.map(mapText).join(" or ") || "-"],
    ["context", mapText(volume.context)],
    ["nodes", volume.nodes.join(", ") || "-"],
  ];
}

/** A snapshot as it is printed. */
export interface SnapshotView {
  readonly id: string;
  readonly sourceVolumeId: string;
  readonly sizeBytes: number;
  /** As `2026-11-21T10:00:00.000Z`; empty where the driver does not say. */
  readonly created: string;
  readonly ready: boolean;
}

export function snapshotView(snapshot: Snapshot | undefined): SnapshotView {
  const created = snapshot?.creationTime;
  return {
    id: snapshot?.snapshotId ?? "",
    sourceVolumeId: snapshot?.sourceVolumeId ?? "",
    sizeBytes: Number(snapshot?.sizeBytes ?? 0n),
    created: created ? new Date(Number(created.seconds) * 1000 + created.nanos / 1e6).toISOString() : "",
    ready: snapshot?.readyToUse ?? false,
  };
}

/** `10Gi`; `unknown` for 0, which is how CSI says that it does not know. */
export function sizeText(bytes: number): string {
  return bytes === 0 ? "unknown" : formatSize(bytes);
}

export function snapshotPairs(snapshot: SnapshotView): [string, string][] {
  return [
    ["id", snapshot.id],
    ["volume", snapshot.sourceVolumeId],
    ["size", sizeText(snapshot.sizeBytes)],
    ["created", snapshot.created || "-"],
    ["ready", snapshot.ready ? "yes" : "not yet; repeat the command"],
  ];
}

/** The name of a value of an enumeration; `number 99` for one that this version does not know. */
export function enumName(names: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(names).find((name) => names[name] === value) ?? `number ${value}`;
}
