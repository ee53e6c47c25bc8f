/** What a node is asked to cut, as a request's record has it: the call that its own controller would get. */
import type { RecordReader } from "../pools/record.ts";
import { accessModes, type Capability, type CreateVolumeRequest } from "./api.ts";

export type Cut =
  | { readonly kind: "snapshot"; readonly name: string; readonly sourceVolumeId: string }
  | { readonly kind: "clone"; readonly request: CreateVolumeRequest };

/**
 * What others are told about the call. Two that are asked for the same are joined; one that was asked for is never joined with
 * a call of this node's own controller, which may itself be waiting for a node.
 */
export function rpcOf(cut: Cut): string {
  return `${cut.kind === "snapshot" ? "CreateSnapshot" : "CreateVolume"} for a controller elsewhere`;
}

export function nameOf(cut: Cut): string {
  return cut.kind === "snapshot" ? cut.name : cut.request.name;
}

/** Throws RECORD_DAMAGED. */
export function decodeCut(record: RecordReader): Cut {
  const kind = record.oneOf("kind", ["snapshot", "clone"]);
  if (kind === "snapshot") return { kind, name: record.text("name"), sourceVolumeId: record.text("sourceVolumeId") };
  const request = record.within("request");
  const capacity = request.within("capacity");
  return {
    kind,
    request: {
      name: request.text("name"),
      capacity: {
        ...(capacity.has("required") ? { required: capacity.count("required") } : {}),
        ...(capacity.has("limit") ? { limit: capacity.count("limit") } : {}),
      },
      capabilities: request.children("capabilities").map(capabilityOf),
      parameters: request.textMap("parameters"),
      source: { volumeId: request.within("source").text("volumeId") },
    },
  };
}

function capabilityOf(record: RecordReader): Capability {
  const access = record.oneOf("access", ["block", "mount"]);
  const mode = record.oneOf("mode", accessModes);
  if (access === "block") return { access, mode };
  return { access, mode, fsType: record.text("fsType"), mountFlags: record.texts("mountFlags") };
}
