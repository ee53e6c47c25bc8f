/**
 * All that a backend of one's own needs, in one place: `import { ... } from "holdfast/pool"`. What is exported here is
 * kept stable with the `version` of `Backend`; everything else in src/ may move. See docs/tutorials/write-a-pool.md.
 */
export { run } from "../host/command.ts";
export { filesystemSpace } from "../host/copies.ts";
export { syncDirectory, writeDurably } from "../host/files.ts";
export { mountAt } from "../host/mount-at.ts";
export { bind, mountFilesystem, unmount } from "../host/mounts.ts";
export type { Limits } from "./accounting.ts";
export type { Backend, Options } from "./backend.ts";
export { FolderPool, type PoolPlace } from "./folder-pool.ts";
export { PlainPool } from "./plain-pool.ts";
export type * from "./pool.ts";
export { Problem, type ProblemName } from "./problem.ts";
export type { Aside } from "./shelf.ts";
