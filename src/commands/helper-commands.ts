/** The Kubernetes helpers as processes of their own: started past the other commands, so that they stay small. */
import type { Command } from "commander";
import { registrar } from "./registrar.ts";

export function addHelpers(root: Command): void {
  for (const add of [registrar]) add(root);
}
