/** What callers write into volumes while images are taken: never waiting in the way of other callers. */
import { createHash } from "node:crypto";
import { open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Use } from "../support/orchestrator.ts";

const blockBytes = 64 * 1024;

/** Durable on return: the `index`-th write of a volume, a file of its own or a place of its own on the device. */
export async function put(use: Use, target: string, seed: string, index: number): Promise<void> {
  if (use === "block") {
    const device = await open(target, "r+");
    try {
      await device.write(contentOf(seed), 0, blockBytes, index * blockBytes);
      await device.sync();
    } finally {
      await device.close();
    }
    return;
  }
  const file = await open(join(target, seed), "wx");
  try {
    await file.write(contentOf(seed));
    await file.sync();
  } finally {
    await file.close();
  }
  const folder = await open(target);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * One line for each of the `seeds` that is not there byte for byte, and for each file that is neither one of them nor in
 * `maybe`, which was being written and may be there in part.
 */
export async function wrongIn(
  use: Use,
  target: string,
  seeds: readonly string[],
  maybe: string | undefined,
): Promise<string[]> {
  const wrong: string[] = [];
  if (use === "block") {
    const device = await open(target, "r");
    try {
      for (const [index, seed] of seeds.entries()) {
        const { buffer } = await device.read(Buffer.alloc(blockBytes), 0, blockBytes, index * blockBytes);
        if (!buffer.equals(contentOf(seed))) wrong.push(`'${seed}' is not on the device`);
      }
    } finally {
      await device.close();
    }
    return wrong;
  }
  const names = new Set(await readdir(target));
  for (const seed of seeds) {
    if (!names.delete(seed)) wrong.push(`'${seed}' is missing`);
    else if (!(await readFile(join(target, seed))).equals(contentOf(seed))) wrong.push(`'${seed}' differs`);
  }
  for (const name of names) {
    if (name !== "lost+found" && name !== maybe) wrong.push(`'${name}' is there, and was written at another time`);
  }
  return wrong;
}

function contentOf(seed: string): Buffer {
  return Buffer.alloc(blockBytes, createHash("sha512").update(seed).digest());
}
