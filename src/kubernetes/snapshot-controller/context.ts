/** What every part of the snapshot-controller is given: the cluster, and no driver. */
import type { PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import type { Informer } from "../api/informer.ts";
import type { Resource } from "../api/resources.ts";
import type {
  VolumeGroupSnapshot,
  VolumeGroupSnapshotContent,
  VolumeSnapshot,
  VolumeSnapshotClass,
  VolumeSnapshotContent,
} from "../api/snapshot-types.ts";
import type { HelperContext } from "../helper.ts";

export type ClusterContext = Pick<HelperContext, "api" | "events" | "log" | "signal" | "informers">;

export interface SnapshotControllerOptions {
  /** How many snapshots, and how many contents, at once. Absent: 10. */
  readonly workers?: number;
  /** The first wait after a failure, and the longest, in milliseconds. Absent: 1,000 and 300,000. */
  readonly firstWaitMs?: number;
  readonly longestWaitMs?: number;
}

export interface Controller extends ClusterContext {
  readonly options: SnapshotControllerOptions;
  /** Index `claim`: the `namespace/name` of the claim that each is of; `group`: of the group snapshot that owns it. */
  readonly snapshots: Informer<VolumeSnapshot>;
  readonly contents: Informer<VolumeSnapshotContent>;
  readonly classes: Informer<VolumeSnapshotClass>;
  readonly claims: Informer<PersistentVolumeClaim>;
  /** Absent until the cluster has their definitions. */
  groups?: GroupInformers;
}

export interface GroupInformers {
  readonly kind: Resource<VolumeGroupSnapshot>;
  readonly snapshots: Informer<VolumeGroupSnapshot>;
  /** Index `handle`: the group's ID at the driver. */
  readonly contents: Informer<VolumeGroupSnapshotContent>;
}
