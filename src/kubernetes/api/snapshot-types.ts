/**
 * The snapshot kinds, as far as the helpers use them: snapshot.storage.k8s.io/v1 and groupsnapshot.storage.k8s.io/v1beta2,
 * custom resources that kubernetes-types does not have.
 */
import type { ObjectMeta } from "kubernetes-types/meta/v1.js";

type Quantity = string;

export interface SnapshotError {
  /** RFC 3339. */
  readonly time?: string;
  readonly message?: string;
}

export interface VolumeSnapshot {
  readonly metadata?: ObjectMeta;
  readonly spec: {
    readonly source: { readonly persistentVolumeClaimName?: string; readonly volumeSnapshotContentName?: string };
    readonly volumeSnapshotClassName?: string;
  };
  readonly status?: {
    readonly boundVolumeSnapshotContentName?: string;
    readonly creationTime?: string;
    readonly readyToUse?: boolean;
    readonly restoreSize?: Quantity;
    readonly error?: SnapshotError;
    readonly volumeGroupSnapshotName?: string;
  };
}

/** Where the other half of a pair is; `uid` is absent until it is bound. */
export interface SnapshotRef {
  readonly kind?: string;
  readonly apiVersion?: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
}

export interface VolumeSnapshotContent {
  readonly metadata?: ObjectMeta;
  readonly spec: {
    readonly deletionPolicy: "Delete" | "Retain";
    readonly driver: string;
    readonly source: { readonly volumeHandle?: string; readonly snapshotHandle?: string };
    readonly sourceVolumeMode?: string;
    readonly volumeSnapshotClassName?: string;
    readonly volumeSnapshotRef: SnapshotRef;
  };
  readonly status?: {
    /** Nanoseconds since 1970. */
    readonly creationTime?: number;
    readonly error?: SnapshotError;
    readonly readyToUse?: boolean;
    /** Bytes. */
    readonly restoreSize?: number;
    readonly snapshotHandle?: string;
    readonly volumeGroupSnapshotHandle?: string;
  };
}

export interface VolumeSnapshotClass {
  readonly metadata?: ObjectMeta;
  readonly driver: string;
  readonly deletionPolicy: "Delete" | "Retain";
  readonly parameters?: Readonly<Record<string, string>>;
}

export interface VolumeGroupSnapshot {
  readonly metadata?: ObjectMeta;
  readonly spec: {
    readonly source: {
      readonly selector?: {
        readonly matchLabels?: Readonly<Record<string, string>>;
        readonly matchExpressions?: readonly {
          readonly key: string;
          /** In, NotIn, Exists, DoesNotExist. */
          readonly operator: string;
          readonly values?: readonly string[];
        }[];
      };
      readonly volumeGroupSnapshotContentName?: string;
    };
    readonly volumeGroupSnapshotClassName?: string;
  };
  readonly status?: {
    readonly boundVolumeGroupSnapshotContentName?: string;
    readonly creationTime?: string;
    readonly readyToUse?: boolean;
    readonly error?: SnapshotError;
  };
}

export interface VolumeGroupSnapshotContent {
  readonly metadata?: ObjectMeta;
  readonly spec: {
    readonly deletionPolicy: "Delete" | "Retain";
    readonly driver: string;
    readonly source: {
      readonly volumeHandles?: readonly string[];
      readonly groupSnapshotHandles?: {
        readonly volumeGroupSnapshotHandle: string;
        readonly volumeSnapshotHandles: readonly string[];
      };
    };
    readonly volumeGroupSnapshotClassName?: string;
    readonly volumeGroupSnapshotRef: SnapshotRef;
  };
  readonly status?: {
    /** RFC 3339. */
    readonly creationTime?: string;
    readonly error?: SnapshotError;
    readonly readyToUse?: boolean;
    readonly volumeGroupSnapshotHandle?: string;
    readonly volumeSnapshotInfoList?: readonly {
      readonly volumeHandle?: string;
      readonly snapshotHandle?: string;
      readonly creationTime?: number;
      readonly readyToUse?: boolean;
      readonly restoreSize?: number;
    }[];
  };
}

export interface VolumeGroupSnapshotClass {
  readonly metadata?: ObjectMeta;
  readonly driver: string;
  readonly deletionPolicy: "Delete" | "Retain";
  readonly parameters?: Readonly<Record<string, string>>;
}
