/** The paths of a volume as a kubelet makes them, and what its user writes there and reads back. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync } from "node:fs";
import { open, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { type Place, places } from "./calls.ts";

export class Folders {
  readonly #path: string;

  /** In a new folder in `scratch`. */
  constructor(scratch: string) {
    this.#path = mkdtempSync(join(scratch, "model-"));
    for (const place of places) mkdirSync(join(this.#path, `staging-${place}`));
  }

  staging(place: Place): string {
    return join(this.#path, `staging-${place}`);
  }

  target(place: Place): string {
    return join(this.#path, `target-${place}`);
  }
}

/** How large one write is; on a device each has a place of its own. */
const blockBytes = 16 * 1024;
const blocks = 100;

/** Written and synced; whole or not there at all. `raw`: the target is a device. */
export async function write(target: string, seed: number, raw: boolean): Promise<void> {
  const file = raw ? target : join(target, `.w${seed}.tmp`);
  const handle = await open(file, raw ? "r+" : "w");
  try {
    await handle.write(contentOf(seed), 0, blockBytes, raw ? seed * blockBytes : 0);
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (!raw) await rename(file, join(target, `w${seed}`));
}

/** What of it is there, as the model writes it down: the seeds in order; what is none of them is told in words. */
export async function read(target: string, raw: boolean): Promise<string> {
  return raw ? readDevice(target) : readFolder(target);
}

async function readFolder(folder: string): Promise<string> {
  const found: (number | string)[] = [];
  for (const name of await readdir(folder)) {
    if (name === "lost+found" || name.endsWith(".tmp")) continue;
    const seed = Number(name.slice(1));
    const whole = (await readFile(join(folder, name))).equals(contentOf(seed));
    found.push(whole ? seed : `${name} is damaged`);
  }
  return inOrder(found);
}

async function readDevice(device: string): Promise<string> {
  const handle = await open(device, "r");
  const found: (number | string)[] = [];
  try {
    const all = Buffer.alloc(blocks * blockBytes);
    await handle.read(all, 0, all.length, 0);
    for (let seed = 0; seed < blocks; seed += 1) {
      const block = all.subarray(seed * blockBytes, (seed + 1) * blockBytes);
      if (block.equals(contentOf(seed))) found.push(seed);
      else if (block.some((byte) => byte !== 0)) found.push(`w${seed} is damaged`);
    }
  } finally {
    await handle.close();
  }
  return inOrder(found);
}

function inOrder(found: (number | string)[]): string {
  return found.sort((a, b) => (typeof a === "number" && typeof b === "number" ? a - b : 1)).join();
}

function contentOf(seed: number): Buffer {
  return Buffer.alloc(blockBytes, createHash("sha512").update(`w${seed}`).digest());
}
