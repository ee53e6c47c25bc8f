/** Our own program beside a cluster: the driver, one of its helpers, or all in one. */

import { holdfast } from "../driver.ts";
import type { Scratch } from "../scratch.ts";
import type { ControlPlane } from "./control-plane.ts";
import { type Service, startService } from "./service.ts";

export interface HoldfastOptions {
  /** Absent: the first argument. */
  readonly name?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** `bin/holdfast ARGS`; SIGTERM must end it with the scratch folder. Whether it is ready is for the caller to find out. */
export function startHoldfast(
  plane: ControlPlane,
  args: readonly string[],
  options: HoldfastOptions = {},
  scratch: Scratch = plane.scratch,
): Service {
  const { name = args[0] ?? "holdfast", env } = options;
  return plane.watch(
    startService(scratch, { name, program: holdfast, args, endBy: "SIGTERM", ...(env ? { env } : {}) }),
  );
}
