/** What tests write into volumes and read back. */
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, readSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/** Files whose content follows from `seed`, synced. */
export function writeFiles(folder: string, seed: string, count = 20): void {
  for (let index = 0; index < count; index += 1) {
    const file = join(folder, `${seed}-${index}`);
    writeFileSync(file, contentOf(`${seed}-${index}`), { flush: true });
  }
}

/** What differs from what `writeFiles` wrote: one line a file; empty when all is as it was. */
export function differences(folder: string, seed: string, count = 20): string[] {
  const present = new Set(readdirSync(folder));
  const found: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const name = `${seed}-${index}`;
    if (!present.has(name)) found.push(`${name} is missing`);
    else if (!readFileSync(join(folder, name)).equals(contentOf(name))) found.push(`${name} differs`);
  }
  return found;
}

function contentOf(name: string): Buffer {
  const block = createHash("sha512").update(name).digest();
  return Buffer.alloc(64 * (100 + (block[0] ?? 0)), block);
}

/** Writes a block that follows from `seed` at `offset` of a raw device, synced. */
export function writeRaw(device: string, seed: string, offset = 0): void {
  const file = openSync(device, "r+");
  try {
    writeSync(file, rawBlock(seed), 0, rawSize, offset);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Whether `writeRaw` of this seed is what stands there. */
export function holdsRaw(device: string, seed: string, offset = 0): boolean {
  const file = openSync(device, "r");
  try {
    const block = Buffer.alloc(rawSize);
    readSync(file, block, 0, rawSize, offset);
    return block.equals(rawBlock(seed));
  } finally {
    closeSync(file);
  }
}

const rawSize = 64 * 1024;
const rawBlock = (seed: string) => Buffer.alloc(rawSize, createHash("sha512").update(seed).digest());
