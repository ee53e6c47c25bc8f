/** One of our helpers as a process of its own, with options that its command does not have. */
import { join } from "node:path";
import type { Scratch } from "../scratch.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { HelperName } from "./helper-main.ts";
import { type Service, startService } from "./service.ts";

export interface HelperOptions {
  /** The driver's. */
  readonly socket: string;
  /** Absent: for the whole cluster. */
  readonly node?: string;
  /** Absent: the administrator's. */
  readonly kubeconfig?: string;
  /** As its `run` function has them. */
  readonly options?: object;
  /** For the log; absent: the helper's. */
  readonly name?: string;
}

const main = join(import.meta.dirname, "helper-main.ts");
const node = join(import.meta.dirname, "../../../bin/holdfast-node");

export function startHelper(
  plane: ControlPlane,
  helper: HelperName,
  options: HelperOptions,
  scratch: Scratch = plane.scratch,
): Service {
  const given = {
    csiAddress: options.socket,
    kubeconfig: options.kubeconfig ?? plane.admin,
    node: options.node,
    options: options.options,
  };
  const args = [main, helper, JSON.stringify(given)];
  return plane.watch(startService(scratch, { name: options.name ?? helper, program: node, args, endBy: "SIGTERM" }));
}
