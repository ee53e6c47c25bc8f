/** What an attachment attaches: a PersistentVolume, or a volume that is written in the attachment itself. */
import type { CSIPersistentVolumeSource, PersistentVolume, PersistentVolumeSpec } from "kubernetes-types/core/v1.js";
import type { VolumeAttachment } from "kubernetes-types/storage/v1.js";
import type { ApiClient, CallLimits } from "../api/client.ts";
import { persistentVolumes } from "../api/resources.ts";

export interface Attachable {
  readonly source: CSIPersistentVolumeSource;
  readonly spec: PersistentVolumeSpec;
  /** Absent: the volume is written in the attachment. */
  readonly volume?: PersistentVolume;
}

/** Reads the volume afresh: whether it is being deleted decides. Throws where the attachment names none, or none of CSI. */
export async function attachableOf(
  api: ApiClient,
  { spec }: VolumeAttachment,
  limits: CallLimits,
): Promise<Attachable> {
  const { persistentVolumeName, inlineVolumeSpec } = spec.source;
  if (persistentVolumeName !== undefined && inlineVolumeSpec !== undefined) {
    throw new Error("the attachment names a PersistentVolume and has a volume of its own: one of both is too many");
  }
  if (inlineVolumeSpec !== undefined) return { ...sourceOf(inlineVolumeSpec), spec: inlineVolumeSpec };
  if (persistentVolumeName === undefined) throw new Error("the attachment names no volume");
  const volume = await api.get(persistentVolumes, { name: persistentVolumeName }, limits);
  const volumeSpec = volume.spec ?? {};
  return { ...sourceOf(volumeSpec), spec: volumeSpec, volume };
}

function sourceOf({ csi }: PersistentVolumeSpec): Pick<Attachable, "source"> {
  if (csi === undefined) throw new Error("the volume is not of a CSI driver");
  return { source: csi };
}
