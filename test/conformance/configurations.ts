/** What csi-sanity is run against: every pool there is, on a disk with and without reflinks, used in every way. */
import { basename, join } from "node:path";
import type { DiskKind } from "../support/pool-disk.ts";

export interface Configuration {
  /** `image`, `directory`, or the path of a module. */
  readonly backend: string;
  readonly shared: boolean;
  readonly disk: DiskKind;
  readonly access: "mount" | "block";
  /** What volumes are formatted with; absent: the pool's default, or nothing to format. */
  readonly fsType?: "ext4" | "xfs" | "btrfs";
  /** Controller and node are processes of their own, each with its socket. */
  readonly split?: boolean;
}

const disks = ["xfs", "ext4"] as const;
const uses = [
  { access: "mount", fsType: "ext4" },
  { access: "mount", fsType: "xfs" },
  { access: "mount", fsType: "btrfs" },
  { access: "block" },
] as const;

/** The tutorial's pool, from outside. */
const example: Configuration = {
  backend: join(import.meta.dirname, "../../examples/memory-pool.ts"),
  shared: false,
  disk: "ext4",
  access: "mount",
};

const own: readonly Configuration[] = [false, true].flatMap((shared) => [
  ...disks.flatMap((disk) => uses.map((use) => ({ backend: "image" as const, shared, disk, ...use }))),
  ...disks.map((disk) => ({ backend: "directory" as const, shared, disk, access: "mount" as const })),
]);

const split: readonly Configuration[] = [false, true].map((shared) => ({
  ...{ backend: "image", shared, disk: "xfs", access: "mount", fsType: "ext4", split: true },
}));

export const configurations: readonly Configuration[] = [...own, ...split, example];

/** As `image, shared, on xfs (reflink), mount ext4`. */
export function nameOf(one: Configuration): string {
  const reach = one.shared ? "shared" : "local";
  const disk = one.disk === "ext4" ? "ext4" : `${one.disk} (reflink)`;
  const use = `${one.access}${one.fsType ? ` ${one.fsType}` : ""}${one.split ? ", two processes" : ""}`;
  return `${basename(one.backend, ".ts")} ${reach} on ${disk}, ${use}`;
}
