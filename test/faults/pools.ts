/** The table of pools: every fault is tried on each that it concerns. A new kind of pool is one entry. */

import type { Use } from "../support/orchestrator.ts";
import type { DiskKind } from "../support/pool-disk.ts";

export interface PoolKind {
  readonly name: string;
  readonly backend: "image" | "directory";
  /** The file system of the pool's disk: xfs and btrfs reflink, ext4 does not. */
  readonly disk: DiskKind;
  /** How its volumes are used. */
  readonly use: Use;
  /** After the path, as `,thick=true`; empty: none. */
  readonly options: string;
  /** Attached before it is staged. */
  readonly shared: boolean;
  /** Snapshots, restores and clones. */
  readonly copies: boolean;
  /** Sizes are enforced, so that a volume can grow. */
  readonly grows: boolean;
  /** Only btrfs: its quotas are turned on before the pool is made. Absent: not. */
  readonly quotas?: boolean;
}

const image = { backend: "image", disk: "xfs", options: "", shared: false, copies: true, grows: true } as const;
const directory = { ...image, backend: "directory", use: "directory", copies: false } as const;

export const pools: readonly PoolKind[] = [
  { ...image, name: "image", use: "ext4" },
  { ...image, name: "image-xfs", use: "xfs" },
  { ...image, name: "image-btrfs", use: "btrfs" },
  { ...image, name: "image-block", use: "block" },
  { ...image, name: "image-copied", use: "ext4", disk: "ext4" },
  { ...image, name: "image-thick", use: "ext4", options: ",thick=true" },
  { ...image, name: "image-shared", use: "ext4", options: ",shared=true", shared: true },
  { ...directory, name: "directory" },
  // With quotas, so that sizes are enforced.
  { ...directory, name: "directory-btrfs", disk: "btrfs", copies: true, quotas: true },
  { ...directory, name: "directory-shared", options: ",shared=true", shared: true },
];
