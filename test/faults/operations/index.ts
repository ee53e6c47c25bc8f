/** The table of operations: every fault is tried on each. A new operation is one entry. */
import { grow, growInUse, stageGrown } from "./growing.ts";
import { create, createFromSnapshot, createFromVolume } from "./making.ts";
import type { Operation } from "./operation.ts";
import { remove, removeSnapshot } from "./removing.ts";
import { snapshot, snapshotInUse } from "./snapshot.ts";
import { uses } from "./using.ts";

export const operations: readonly Operation[] = [
  create,
  createFromSnapshot,
  createFromVolume,
  remove,
  snapshot,
  snapshotInUse,
  removeSnapshot,
  grow,
  stageGrown,
  growInUse,
  ...uses,
];
