/** The Kubernetes helpers as processes of their own: started past the other commands, so that they stay small. */
import type { Command } from "commander";
import { attacher } from "./attacher.ts";
import { provisioner } from "./provisioner.ts";
import { registrar } from "./registrar.ts";
import { resizer } from "./resizer.ts";
import { snapshotter } from "./snapshotter.ts";

export function addHelpers(root: Command): void {
  for (const add of [registrar, provisioner, attacher, resizer, snapshotter]) add(root);
}
