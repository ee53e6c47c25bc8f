/** What every part of the provisioner is given. */
import type { PersistentVolume, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import type { StorageClass } from "kubernetes-types/storage/v1.js";
import type { Informer } from "../api/informer.ts";
import type { HelperContext } from "../helper.ts";
import type { Ahead } from "./ahead.ts";
import type { Intents } from "./intents.ts";
import type { Places } from "./places.ts";

export interface ProvisionerOptions {
  /**
   * Where is kept what was begun, so that a process that was killed leaves nothing behind; made when it is missing. Absent: only remembered.
   */
  readonly intentsFolder?: string;
  /** For classes that say no file system. Absent: the driver's choice. */
  readonly defaultFsType?: string;
  /** For the whole cluster only: CreateVolume is asked for the selected node's segment alone. Absent: false; for one node always so. */
  readonly strictTopology?: boolean;
  /** For the whole cluster only: claims that wait for no pod are asked for in all segments. Absent: true. */
  readonly immediateTopology?: boolean;
  /** The driver is told the names of claim and volume as parameters. Absent: false. */
  readonly extraCreateMetadata?: boolean;
  /** A volume that can only be read is published so. Absent: false. */
  readonly publishReadonly?: boolean;
  /** A restore may change between block and file system without the content's consent. Absent: false. */
  readonly allowModeChange?: boolean;
  /** For one node only: its volumes carry the label `<driver>/node`, so that other nodes need not hear of them. Absent: false. */
  readonly labelVolumes?: boolean;
  /** How long an RPC may take, in milliseconds, before it is asked again. Absent: 30,000. */
  readonly timeoutMs?: number;
  /** How many claims, and how many volumes to be deleted, at once. Absent: 50. */
  readonly workers?: number;
  /** How often it is looked for volumes without an object, in milliseconds. Absent: after a minute, then every hour. */
  readonly reportEveryMs?: number;
  /** The first wait after a failure, and the longest, in milliseconds. Absent: 1,000 and 300,000. */
  readonly firstWaitMs?: number;
  readonly longestWaitMs?: number;
}

export interface Provisioner extends HelperContext {
  readonly options: ProvisionerOptions;
  readonly timeoutMs: number;
  readonly claims: Informer<PersistentVolumeClaim>;
  readonly volumes: Informer<PersistentVolume>;
  readonly classes: Informer<StorageClass>;
  readonly places: Places;
  readonly intents: Intents;
  /** By the claims' UIDs. A cache: what is lost is asked of the driver again. */
  readonly ahead: Map<string, Ahead>;
  /** UIDs of claims whose intent is about to end: their source needs no protection any more. */
  readonly ending: Set<string>;
  /** Whether the driver has a topology. */
  readonly withTopology: boolean;
  /** For one node: whether it holds the snapshot or volume whose content the claim asks for, as far as is known here. */
  readonly holds: (claim: PersistentVolumeClaim) => boolean;
}
