/** Which pools can give what a capability asks for, and when two capabilities are the same. */
import type { Pool } from "../pools/pool.ts";
import type { AccessMode, Capability } from "./api.ts";

const oneNode: readonly AccessMode[] = [
  "SINGLE_NODE_WRITER",
  "SINGLE_NODE_READER_ONLY",
  "SINGLE_NODE_SINGLE_WRITER",
  "SINGLE_NODE_MULTI_WRITER",
];

/** Undefined: the pool can. Else why not, in words. */
export function unsupported(pool: Pool, capability: Capability): string | undefined {
  if (!oneNode.includes(capability.mode) && !pool.features.multiNode) {
    return `the pool '${pool.name}' gives a volume to one node at a time, so not ${capability.mode}`;
  }
  if (capability.access === "block") {
    return pool.features.block ? undefined : `the pool '${pool.name}' gives directories, so no raw block volumes`;
  }
  if (pool.features.gives === "directory" && capability.fsType !== "") {
    return `the pool '${pool.name}' gives directories and makes no file system, so not ${capability.fsType}`;
  }
  return undefined;
}

/** May several nodes have it at once? */
export function isMultiNode(mode: string): boolean {
  return mode.startsWith("MULTI_NODE");
}

/** May it be published at several targets of one node? */
export function isMultiTarget(mode: string): boolean {
  return isMultiNode(mode) || mode === "SINGLE_NODE_MULTI_WRITER";
}

export function isReadOnly(mode: string): boolean {
  return mode.endsWith("READER_ONLY");
}
