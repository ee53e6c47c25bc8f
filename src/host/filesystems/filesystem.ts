/** The file systems that the driver knows. */
import { BtrfsFilesystem } from "./btrfs.ts";
import { Ext4Filesystem } from "./ext4.ts";
import type { Filesystem } from "./interface.ts";
import { XfsFilesystem } from "./xfs.ts";

export type { Filesystem } from "./interface.ts";
export { probe } from "./probe.ts";

const known: readonly Filesystem[] = [new Ext4Filesystem(), new XfsFilesystem(), new BtrfsFilesystem()];
const byName = new Map(known.map((each) => [each.name, each]));

/** Absent: not one of ours. */
export function filesystem(name: string): Filesystem | undefined {
  return byName.get(name);
}
