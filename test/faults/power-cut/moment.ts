/** What an orchestrator knows at one moment: what was acknowledged, and which calls are under way. */
import type { CreateOptions } from "../../support/orchestrator.ts";

export type Kind =
  | "create"
  | "restore"
  | "clone"
  | "snapshot"
  | "delete-snapshot"
  | "grow"
  | "attach"
  | "stage-first"
  | "stage"
  | "publish"
  | "write"
  | "unpublish"
  | "unstage"
  | "detach"
  | "delete";

export interface KnownVolume {
  readonly name: string;
  readonly wish: CreateOptions;
  /** Absent: its creation was not acknowledged. */
  readonly id?: string | undefined;
  /** As acknowledged. */
  readonly bytes: number;
  readonly attached: boolean;
  /** What was written and synced, in this order; a copy begins with what its source had. */
  readonly seeds: readonly string[];
}

export interface KnownSnapshot {
  readonly name: string;
  readonly sourceId: string;
  /** Absent: not acknowledged. */
  readonly id?: string | undefined;
  readonly bytes: number;
  /** Exactly what was in the source. */
  readonly seeds: readonly string[];
}

/** A call that was begun and not answered. */
export interface UnderWay {
  readonly kind: Kind;
  /** What it makes, changes or takes away. */
  readonly volume?: KnownVolume;
  readonly snapshot?: KnownSnapshot;
  /** What is being written. */
  readonly seed?: string;
}

export interface Moment {
  readonly volumes: readonly KnownVolume[];
  readonly snapshots: readonly KnownSnapshot[];
  /** The IDs whose deletion was acknowledged. */
  readonly gone: readonly string[];
  readonly underWay: readonly UnderWay[];
}
