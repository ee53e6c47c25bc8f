/** What the controller pod of local pools is given: the cluster, but no driver. */
import type { Node, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import type { CSINode, CSIStorageCapacity, StorageClass } from "kubernetes-types/storage/v1.js";
import type { Log } from "../../observe/log.ts";
import type { ApiClient } from "../api/client.ts";
import type { EventRecorder } from "../api/events.ts";
import type { Informer } from "../api/informer.ts";
import type { Informers } from "../helper.ts";

export interface ClusterRolesContext {
  readonly api: ApiClient;
  readonly events: EventRecorder;
  readonly log: Log;
  readonly informers: Informers;
  /** Of the local driver, whose nodes each act for themselves. */
  readonly driverName: string;
  readonly signal: AbortSignal;
}

export interface ClusterRolesOptions {
  /** How long a node must be gone before a selection of it is taken back, in milliseconds. Absent: 10,000. */
  readonly goneForMs?: number;
  /** How long a node must not be ready before a claim that need not wait for it is given to another, in milliseconds. Absent: 60,000. */
  readonly notReadyForMs?: number;
  /** How long a node that had no room is not picked for the same claim again, in milliseconds. Absent: 60,000. */
  readonly refusedForMs?: number;
}

/** With what is watched. */
export interface Roles extends ClusterRolesContext {
  /** Those that ask this driver for a volume; index `uid`. */
  readonly claims: Informer<PersistentVolumeClaim>;
  readonly classes: Informer<StorageClass>;
  /** Of this driver; index `class`. */
  readonly capacities: Informer<CSIStorageCapacity>;
  readonly nodes: Informer<Node>;
  /** Nodes with this driver. */
  readonly registered: Informer<CSINode>;
}
