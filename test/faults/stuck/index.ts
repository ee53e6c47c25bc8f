/** Stuck: tools that do not end, disks that do not answer. */
import type { Part } from "../frame/part.ts";
import { stuckDisks } from "./disks.ts";
import { stuckTools } from "./tools.ts";

export const stuck: readonly Part[] = [...stuckTools, ...stuckDisks];
