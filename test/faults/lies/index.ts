/** Lies: what the driver is told, and what it finds in its pools, is not what it should be. */
import type { Part } from "../frame/part.ts";
import { bytes } from "./bytes.ts";
import { connections } from "./connections.ts";
import { contents } from "./contents.ts";
import { paths } from "./paths.ts";
import { records } from "./records.ts";
import { secrets } from "./secrets.ts";

export const lies: readonly Part[] = [...bytes, ...connections, ...contents, ...paths, ...records, ...secrets];
