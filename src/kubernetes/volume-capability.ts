/** How a PersistentVolume is used, in the words of CSI. */
import type { PersistentVolumeSpec } from "kubernetes-types/core/v1.js";
import { VolumeCapability_AccessMode_Mode as Mode } from "../csi/gen/csi_pb.ts";
import type { DriverFacts } from "./driver-facts.ts";

/** A VolumeCapability for a request. */
export interface Capability {
  readonly accessType:
    | { readonly case: "block"; readonly value: Record<never, never> }
    | { readonly case: "mount"; readonly value: { readonly fsType: string; readonly mountFlags: string[] } };
  readonly accessMode: { readonly mode: Mode };
}

/**
 * One capability for the whole volume, as all upstream helpers send it: what a spec allows may be several modes, of which
 * the widest is told. Throws for combinations that CSI does not have.
 */
export function capabilityOf(
  spec: Pick<PersistentVolumeSpec, "accessModes" | "volumeMode" | "mountOptions"> & {
    readonly csi?: { readonly fsType?: string };
  },
  driver: Pick<DriverFacts, "controller">,
): Capability {
  const accessMode = { mode: accessModeOf(spec.accessModes ?? [], driver.controller.has("SINGLE_NODE_MULTI_WRITER")) };
  if (spec.volumeMode === "Block") return { accessType: { case: "block", value: {} }, accessMode };
  const mount = { fsType: spec.csi?.fsType ?? "", mountFlags: [...(spec.mountOptions ?? [])] };
  return { accessType: { case: "mount", value: mount }, accessMode };
}

/** `fine`: the driver tells several writers on one node from a single one (CSI capability SINGLE_NODE_MULTI_WRITER). */
export function accessModeOf(modes: readonly string[], fine: boolean): Mode {
  const has = new Set(modes);
  if (has.has("ReadWriteOncePod")) {
    if (has.size > 1) throw new Error(`ReadWriteOncePod does not go together with ${[...has].join(", ")}`);
    // Kubernetes itself sees to the one pod: the driver need not know it.
    return fine ? Mode.SINGLE_NODE_SINGLE_WRITER : Mode.SINGLE_NODE_WRITER;
  }
  if (has.has("ReadWriteMany")) return Mode.MULTI_NODE_MULTI_WRITER;
  if (has.has("ReadOnlyMany")) {
    if (has.has("ReadWriteOnce")) throw new Error("CSI has no mode for ReadOnlyMany together with ReadWriteOnce");
    return Mode.MULTI_NODE_READER_ONLY;
  }
  if (has.has("ReadWriteOnce")) return fine ? Mode.SINGLE_NODE_MULTI_WRITER : Mode.SINGLE_NODE_WRITER;
  throw new Error(`no known access mode: ${modes.join(", ") || "none is given"}`);
}
