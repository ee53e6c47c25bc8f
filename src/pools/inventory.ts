/**
 * What a pool holds, in memory: the ordered keys for pages, and the sum of what was promised. It is a copy of the disk,
 * filled at first need; while other controllers work on the pool too it is compared with the disk before each answer.
 */

import type { Key, KeyedPage, Snapshot, Volume } from "./pool.ts";
import type { Presence } from "./presence.ts";
import { Problem } from "./problem.ts";
import { listAside, type Shelf } from "./shelf.ts";

/** Files read at once while filling; keeps the thread pool free for calls. */
const width = 6;

interface Finder<T> {
  readonly kind: "volume" | "snapshot";
  find(key: Key): Promise<T | undefined>;
}

type Shelves = { readonly volume: Shelf<Volume>; readonly snapshot: Shelf<Snapshot> };

class Keys {
  readonly sizes = new Map<Key, number>();
  ordered: Key[] = [];

  add(key: Key, size: number): void {
    if (!this.sizes.has(key)) this.ordered.splice(this.#place(key), 0, key);
    this.sizes.set(key, size);
  }

  drop(key: Key): void {
    if (!this.sizes.delete(key)) return;
    this.ordered.splice(this.#place(key), 1);
  }

  after(key: Key | undefined, max: number): Key[] {
    const from = key === undefined ? 0 : this.#place(`${key}\0`);
    return this.ordered.slice(from, from + max);
  }

  #place(key: Key): number {
    let low = 0;
    let high = this.ordered.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.ordered[middle] ?? "") < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export class Inventory {
  readonly #pool: string;
  readonly #shelves: Shelves;
  readonly #presence: Presence;
  readonly #keys = { volume: new Keys(), snapshot: new Keys() };
  /** Path in `building/` or `trash/` to bytes. */
  readonly #aside = new Map<string, number>();
  #promised = 0;
  #filled: Promise<void> | undefined;

  constructor(pool: string, shelves: Shelves, presence: Presence) {
    this.#pool = pool;
    this.#shelves = shelves;
    this.#presence = presence;
  }

  /** Announces this process and fills the copy, once. */
  async fill(): Promise<void> {
    if (!this.#filled) {
      this.#filled = this.#presence.announce().then(() => this.#compare());
      this.#filled.catch(() => {
        this.#filled = undefined;
      });
    }
    await this.#filled;
  }

  /** Fills it, and compares it with the disk where another controller may have changed that. */
  async current(): Promise<void> {
    await this.fill();
    if (!(await this.#presence.alone())) await this.#compare();
  }

  /** Bytes promised to volumes, snapshots, what is being built and what has not yet given its space back. */
  get promised(): number {
    return this.#promised;
  }

  get count(): number {
    return this.#keys.volume.sizes.size + this.#keys.snapshot.sizes.size;
  }

  present(kind: "volume" | "snapshot", key: Key, size: number): void {
    this.#promised += size - (this.#keys[kind].sizes.get(key) ?? 0);
    this.#keys[kind].add(key, size);
  }

  gone(kind: "volume" | "snapshot", key: Key): void {
    this.#promised -= this.#keys[kind].sizes.get(key) ?? 0;
    this.#keys[kind].drop(key);
  }

  aside(path: string, size: number): void {
    this.#promised += size - (this.#aside.get(path) ?? 0);
    this.#aside.set(path, size);
  }

  reclaimed(path: string): void {
    this.#promised -= this.#aside.get(path) ?? 0;
    this.#aside.delete(path);
  }

  /** A page in the order of keys. Entries that went meanwhile are left out. */
  async page<T>(shelf: Finder<T>, after: Key | undefined, max: number): Promise<KeyedPage<T>> {
    await this.current();
    const { kind } = shelf;
    const keys = this.#keys[kind].after(after, max);
    const entries = await inTurns(keys, 16, (key) => shelf.find(key));
    const last = keys.at(-1);
    const more = last !== undefined && this.#keys[kind].after(last, 1).length > 0;
    const there = entries.filter((entry) => entry !== undefined) as T[];
    return more ? { entries: there, next: last } : { entries: there };
  }

  async #compare(): Promise<void> {
    // First what is on its way in, then what is there: an entry that appears meanwhile is counted twice, never not at all.
    const asides = [...(await listAside(this.#pool, "building")), ...(await listAside(this.#pool, "trash"))];
    const paths = new Set(asides.map((each) => each.path));
    for (const path of this.#aside.keys()) if (!paths.has(path)) this.reclaimed(path);
    for (const each of asides) this.aside(each.path, each.size);
    for (const kind of ["volume", "snapshot"] as const) {
      const keys = await this.#shelves[kind].keys();
      const known = new Set(keys);
      for (const key of [...this.#keys[kind].ordered]) if (!known.has(key)) this.gone(kind, key);
      await inTurns(keys, width, async (key) => {
        try {
          const entry = await this.#shelves[kind].find(key);
          if (entry) this.present(kind, key, entry.size);
        } catch (error) {
          // One damaged record must not stop the pool; its own calls say what is wrong with it.
          if (!(error instanceof Problem) || error.code !== "RECORD_DAMAGED") throw error;
        }
      });
    }
  }
}

/** Maps in order with at most `width` under way. */
export async function inTurns<T, R>(items: readonly T[], width: number, each: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let n = next++; n < items.length; n = next++) {
      const item = items[n];
      if (item !== undefined) results[n] = await each(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  return results;
}
