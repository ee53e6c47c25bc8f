/** What every part of the snapshotter is given. */
import type { Informer } from "../api/informer.ts";
import type { VolumeSnapshotClass, VolumeSnapshotContent } from "../api/snapshot-types.ts";
import type { HelperContext } from "../helper.ts";

export interface SnapshotterOptions {
  /** The driver is told the names of snapshot and content as parameters. Absent: false. */
  readonly extraCreateMetadata?: boolean;
  /** Snapshots are called `<prefix>-<UID of the VolumeSnapshot>` at the driver. Absent: `snapshot`, and `groupsnapshot`. */
  readonly namePrefix?: string;
  readonly groupNamePrefix?: string;
  /** How long an RPC may take, in milliseconds, before it is asked again. Absent: 60,000. */
  readonly timeoutMs?: number;
  /** How many contents at once. Absent: 10. */
  readonly workers?: number;
  /** The first wait after a failure, and the longest, in milliseconds. Absent: 1,000 and 300,000. */
  readonly firstWaitMs?: number;
  readonly longestWaitMs?: number;
}

export interface Snapshotter extends HelperContext {
  readonly options: SnapshotterOptions;
  readonly timeoutMs: number;
  readonly contents: Informer<VolumeSnapshotContent>;
  readonly classes: Informer<VolumeSnapshotClass>;
}
