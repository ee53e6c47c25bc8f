/**
 * How large a pool is that was given no size: the free bytes of its file system, plus what the pool holds. Where blocks
 * can be shared, a file's block count says nothing about what it has alone: of each family of copies only the largest
 * member is counted. That errs on the safe side.
 */
import { filesystemSpace } from "../../host/copies.ts";
import { stat } from "../../host/fs.ts";
import { inTurns } from "../inventory.ts";
import type { Origin } from "../pool.ts";

interface Members {
  keys(): Promise<string[]>;
  path(key: string, file: string): string;
  find(key: string): Promise<{ readonly origin?: Origin } | undefined>;
}

export async function measureImages(
  folder: string,
  shelves: readonly Members[],
  dataName: string,
  shared: boolean,
): Promise<number> {
  const families = new Families();
  let held = 0;
  for (const shelf of shelves) {
    await inTurns(await shelf.keys(), 6, async (key) => {
      const blocks = await stat(shelf.path(key, dataName)).then(
        (stats) => stats.blocks * 512,
        () => 0,
      );
      if (!shared) {
        held += blocks;
        return;
      }
      const entry = await shelf.find(key).catch(() => undefined);
      families.add(key, blocks, entry?.origin?.key);
    });
  }
  const { available } = await filesystemSpace(folder);
  return available + held + families.largest();
}

class Families {
  readonly #parent = new Map<string, string>();
  readonly #bytes = new Map<string, number>();

  add(key: string, bytes: number, origin: string | undefined): void {
    this.#bytes.set(key, bytes);
    if (origin !== undefined) this.#parent.set(this.#root(key), this.#root(origin));
  }

  largest(): number {
    const most = new Map<string, number>();
    for (const [key, bytes] of this.#bytes) {
      const root = this.#root(key);
      most.set(root, Math.max(most.get(root) ?? 0, bytes));
    }
    return [...most.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  #root(key: string): string {
    let at = key;
    for (let up = this.#parent.get(at); up !== undefined && up !== at; up = this.#parent.get(at)) at = up;
    return at;
  }
}
