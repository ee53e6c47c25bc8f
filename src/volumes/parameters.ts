/**
 * StorageClass parameters. Plain code without a schema library, because every create passes here.
 * docs/reference/parameters.md lists them.
 */
import { Problem } from "../pools/problem.ts";
import { checkMkfsOptions } from "./mkfs-options.ts";

export interface Parameters {
  /** Absent: the driver's only pool. */
  readonly pool?: string;
  /** Absent: ext4. */
  readonly fsType?: string;
  /** As mkfs takes them, checked. */
  readonly mkfsOptions: readonly string[];
  /** What a repeated create must repeat: everything but what the provisioner adds about the claim. */
  readonly identity: Readonly<Record<string, string>>;
}

export const parameterKeys = ["pool", "fsType", "mkfsOptions"] as const;
/** How external-provisioner hands on the file system type; it means the same as `fsType`. */
const kubernetesFsType = "csi.storage.k8s.io/fstype";
/** What the provisioner and the snapshotter add with --extra-create-metadata: facts about the claim, not wishes. */
const metadata = /^csi\.storage\.k8s\.io\/(?:pvc|pv|volumesnapshot|volumesnapshotcontent|volumegroupsnapshot)\//;
export const fileSystems: readonly string[] = ["ext4", "xfs", "btrfs"];

/**
 * Reads them. `asked` is the file system type of the capability, which wins over `fsType` and is what the mkfs options
 * are checked for; empty: not given. Throws PARAMETER_UNKNOWN for an unknown key or a bad value.
 */
export function parseParameters(parameters: Readonly<Record<string, string>>, asked = ""): Parameters {
  const taken: { pool?: string; fsType?: string; mkfsOptions?: string } = {};
  const identity: Record<string, string> = {};
  for (const [key, value] of Object.entries(parameters)) {
    if (metadata.test(key)) continue;
    const name = key === kubernetesFsType ? "fsType" : parameterKeys.find((candidate) => candidate === key);
    if (name === undefined) throw unknownKey(key);
    if (value === "") continue;
    if (taken[name] !== undefined && taken[name] !== value) {
      throw new Problem("PARAMETER_UNKNOWN", `fsType is '${shown(taken[name])}' and ${kubernetesFsType} another`);
    }
    taken[name] = value;
    identity[name] = value;
  }
  if (taken.fsType !== undefined && !fileSystems.includes(taken.fsType)) {
    throw new Problem("PARAMETER_UNKNOWN", `fsType: '${shown(taken.fsType)}' is not one of ${fileSystems.join(", ")}`);
  }
  const { mkfsOptions = "", ...rest } = taken;
  const words = mkfsOptions.split(/[ \t\n]+/).filter((word) => word !== "");
  return { ...rest, mkfsOptions: checkMkfsOptions(asked || taken.fsType || "ext4", words), identity };
}

function unknownKey(key: string): Problem {
  const near = parameterKeys.find((name) => name.toLowerCase() === key.toLowerCase().replaceAll(/[-_]/g, ""));
  const hint = near === undefined ? `known are ${parameterKeys.join(", ")}` : `it is written ${near}`;
  return new Problem("PARAMETER_UNKNOWN", `there is no parameter '${shown(key)}': ${hint}`);
}

/** Short and printable: it goes into messages and logs. */
function shown(text: string): string {
  const clean = text.replaceAll(/[^\x20-\x7e]/g, "?");
  return clean.length > 60 ? `${clean.slice(0, 60)}...` : clean;
}
