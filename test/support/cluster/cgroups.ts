/** Control groups (version 1, a hierarchy a controller) that a kubelet puts its pods into. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cgroupNameOf } from "../leftovers.ts";
import type { Scratch } from "../scratch.ts";

const root = "/sys/fs/cgroup";

/** Makes a group in every hierarchy, for a node of a scratch folder; it ends with it. Answers its path in each, as `/name`. */
export function makeCgroup(scratch: Scratch, node: string): string {
  const name = `${cgroupNameOf(scratch.path)}-${node}`;
  for (const hierarchy of readdirSync(root)) {
    const folder = join(root, hierarchy, name);
    if (existsSync(join(root, hierarchy, "cgroup.procs")) && !existsSync(folder)) mkdirSync(folder);
  }
  scratch.later(() => removeCgroup(name));
  return `/${name}`;
}

/** Of groups only the folders can be taken away, the innermost first, once no process is in them. */
async function removeCgroup(name: string): Promise<void> {
  for (const hierarchy of readdirSync(root)) {
    const folder = join(root, hierarchy, name);
    for (let tries = 0; existsSync(folder); tries += 1) {
      try {
        removeTree(folder);
      } catch (error) {
        if (tries === 40) throw error;
        await sleep(50);
      }
    }
  }
}

function removeTree(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(folder, entry.name));
  }
  const inside = readFileSync(join(folder, "cgroup.procs"), "utf8").trim();
  if (inside !== "") throw new Error(`${folder} holds processes ${inside.replaceAll("\n", ", ")}`);
  rmdirSync(folder);
}
