/** Lies: what the driver is told, and what it finds in its pools, is not what it should be. */
import type { Part } from "../frame/part.ts";
import { contents } from "./contents.ts";
import { records } from "./records.ts";

export const lies: readonly Part[] = [...contents, ...records];
