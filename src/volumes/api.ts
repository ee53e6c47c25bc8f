/**
 * What the rules offer to whoever speaks to them (today: the CSI services). Plain data in the field's own terms, neither
 * protobuf nor Linux. Every method may be called again with the same request after any failure and then gives the same
 * answer; every error is a `Problem`.
 */

export const accessModes = [
  "SINGLE_NODE_WRITER",
  "SINGLE_NODE_READER_ONLY",
  "MULTI_NODE_READER_ONLY",
  "MULTI_NODE_SINGLE_WRITER",
  "MULTI_NODE_MULTI_WRITER",
  "SINGLE_NODE_SINGLE_WRITER",
  "SINGLE_NODE_MULTI_WRITER",
] as const;

export type AccessMode = (typeof accessModes)[number];

/** How a volume is to be used: as a raw device, or mounted with a file system. */
export type Capability =
  | { readonly access: "block"; readonly mode: AccessMode }
  | {
      readonly access: "mount";
      readonly mode: AccessMode;
      /** Empty: the default of the volume (its StorageClass parameter `fsType`, else ext4). */
      readonly fsType: string;
      readonly mountFlags: readonly string[];
    };

/** Topology key to value, as `{"local.csi.holdfast/node": "a"}`. */
export type Segments = Readonly<Record<string, string>>;

/** Bytes; absent or 0 means not given. */
export interface CapacityRange {
  readonly required?: number;
  readonly limit?: number;
}

export type ContentSource = { readonly snapshotId: string } | { readonly volumeId: string };

/** What a caller brings to every operation. */
export interface Call {
  /** As in `CreateVolume`: what ABORTED tells others about this call. */
  readonly rpc: string;
  /** Aborted when the caller cancels or its deadline passes. Work that can be redone stops then. */
  readonly signal: AbortSignal;
  /** When the caller gives up, in milliseconds since the epoch; absent: never. */
  readonly deadline?: number;
  /** For the log: one an RPC. */
  readonly requestId: string;
}

export interface CreateVolumeRequest {
  readonly name: string;
  readonly capacity: CapacityRange;
  /** At least one. */
  readonly capabilities: readonly Capability[];
  /** StorageClass parameters, mutable ones merged over them. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly source?: ContentSource;
  readonly topology?: { readonly requisite: readonly Segments[]; readonly preferred: readonly Segments[] };
}

export interface VolumeView {
  readonly id: string;
  /** Bytes. */
  readonly capacity: number;
  /** What the node gets back as volume_context. */
  readonly context: Readonly<Record<string, string>>;
  readonly source?: ContentSource;
  /** Empty for shared pools. */
  readonly topology: readonly Segments[];
  /** Node IDs; always empty for pools that do not attach. */
  readonly publishedNodes: readonly string[];
}

export interface SnapshotView {
  readonly id: string;
  readonly sourceVolumeId: string;
  /** Bytes that a restore needs at least. */
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly created: number;
  readonly ready: boolean;
}

/** `max` 0 or absent: all. `token` empty or absent: from the start. `next` empty: that was the last page. */
export interface Page {
  readonly max?: number;
  readonly token?: string;
}
export interface Paged<T> {
  readonly entries: readonly T[];
  readonly next: string;
}

/** What the configured pools can do together; the CSI capabilities follow from it. */
export interface Features {
  readonly snapshots: boolean;
  readonly clones: boolean;
  readonly expand: boolean;
  /** Growth is asked of the node alone: the controller declares none. Absent: the controller grows, and then the node. */
  readonly expandsOnNode?: boolean;
  /** ControllerPublish/Unpublish, PUBLISH_READONLY and published nodes: shared pools. */
  readonly attach: boolean;
  /** VOLUME_ACCESSIBILITY_CONSTRAINTS: local pools. */
  readonly topology: boolean;
}

/** The controller's half. Not-found rules: `remove*` and `detach` of what is absent succeed; the others throw *_NOT_FOUND. */
export interface ControllerRules {
  readonly features: Features;
  create(request: CreateVolumeRequest, call: Call): Promise<VolumeView>;
  remove(id: string, call: Call): Promise<void>;
  get(id: string, call: Call): Promise<VolumeView>;
  list(page: Page, call: Call): Promise<Paged<VolumeView>>;
  /** A message says why when not all capabilities (or the parameters or context) are supported; absent: all are. */
  validate(
    id: string,
    asked: {
      readonly capabilities: readonly Capability[];
      readonly parameters: Readonly<Record<string, string>>;
      readonly context: Readonly<Record<string, string>>;
    },
    call: Call,
  ): Promise<string | undefined>;
  /** Bytes: what can still be promised, and the largest and smallest single volume. */
  capacity(
    asked: {
      readonly capabilities: readonly Capability[];
      readonly parameters: Readonly<Record<string, string>>;
      readonly topology?: Segments;
    },
    call: Call,
  ): Promise<{ readonly available: number; readonly maximum: number; readonly minimum: number }>;
  /** Answers the publish context. */
  attach(
    asked: {
      readonly id: string;
      readonly nodeId: string;
      readonly capability: Capability;
      readonly readonly: boolean;
      readonly context: Readonly<Record<string, string>>;
    },
    call: Call,
  ): Promise<Readonly<Record<string, string>>>;
  /** `nodeId` empty: from every node. */
  detach(asked: { readonly id: string; readonly nodeId: string }, call: Call): Promise<void>;
  /** `capability` absent: not told. Answers exactly the bytes that were asked for, or what the volume has if that is more. */
  expand(
    asked: { readonly id: string; readonly capacity: CapacityRange; readonly capability?: Capability },
    call: Call,
  ): Promise<{ readonly capacity: number; readonly nodeExpansionRequired: boolean }>;
  createSnapshot(
    asked: {
      readonly name: string;
      readonly sourceVolumeId: string;
      readonly parameters: Readonly<Record<string, string>>;
    },
    call: Call,
  ): Promise<SnapshotView>;
  removeSnapshot(id: string, call: Call): Promise<void>;
  getSnapshot(id: string, call: Call): Promise<SnapshotView>;
  /** Filters by unknown IDs give an empty page. */
  listSnapshots(
    asked: Page & { readonly snapshotId?: string; readonly sourceVolumeId?: string },
    call: Call,
  ): Promise<Paged<SnapshotView>>;
}

export interface StageRequest {
  readonly id: string;
  readonly stagingPath: string;
  readonly capability: Capability;
  readonly context: Readonly<Record<string, string>>;
  readonly publishContext: Readonly<Record<string, string>>;
}

export interface PublishRequest {
  readonly id: string;
  /** Empty: not given. */
  readonly stagingPath: string;
  readonly targetPath: string;
  readonly capability: Capability;
  readonly readonly: boolean;
  readonly context: Readonly<Record<string, string>>;
  readonly publishContext: Readonly<Record<string, string>>;
}

export interface Usage {
  readonly unit: "BYTES" | "INODES";
  readonly total: number;
  readonly available: number;
  readonly used: number;
}

/** The node's half. Unpublish and unstage of what is not there succeed. */
export interface NodeRules {
  stage(request: StageRequest, call: Call): Promise<void>;
  unstage(asked: { readonly id: string; readonly stagingPath: string }, call: Call): Promise<void>;
  publish(request: PublishRequest, call: Call): Promise<void>;
  unpublish(asked: { readonly id: string; readonly targetPath: string }, call: Call): Promise<void>;
  stats(
    asked: { readonly id: string; readonly path: string; readonly stagingPath: string },
    call: Call,
  ): Promise<readonly Usage[]>;
  /** Answers the bytes that the volume has now. */
  expand(
    asked: {
      readonly id: string;
      readonly path: string;
      readonly stagingPath: string;
      readonly capacity: CapacityRange;
      readonly capability?: Capability;
    },
    call: Call,
  ): Promise<number>;
  /** `maxVolumes` 0: not limited by the driver. `topology` absent for shared pools. */
  info(): { readonly nodeId: string; readonly maxVolumes: number; readonly topology?: Segments };
}

/** Whether the driver can serve: absent means ready, a message says what is missing. */
export interface Readiness {
  ready(): Promise<string | undefined>;
}
