/**
 * What a pool holds, in memory: the ordered keys for pages, and the sum of what was promised. It is a copy of the disk,
 * filled at first need; while other controllers work on the pool too it is compared with the disk before each answer.
 */

import type { Key, KeyedPage, Snapshot, Volume } from "./pool.ts";
import type { Presence } from "./presence.ts";
import { unlessUnreadable } from "./record.ts";
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
  /** Those of them that this process made. */
  readonly #own = new Set<string>();
  #promised = 0;
  /** The mark of being alone at which the copy was last compared with the disk. */
  #alone: string | undefined;
  /** What this process changed while a comparison runs: newer than what that one read. One set for each that runs. */
  readonly #changed = new Set<Set<string>>();

  constructor(pool: string, shelves: Shelves, presence: Presence) {
    this.#pool = pool;
    this.#shelves = shelves;
    this.#presence = presence;
  }

  /** Announces this process, so that others know that it may change the pool. */
  announce(): Promise<void> {
    return this.#presence.announce();
  }

  /** Compares the copy with the disk, unless this process has been alone with the pool since it did so last. */
  async current(): Promise<void> {
    const alone = await this.#presence.alone();
    if (alone !== undefined && alone === this.#alone) return;
    await this.#compare();
    this.#alone = alone;
  }

  /** The next answer is compared with the disk: a call failed, and how far it came is not known. */
  doubt(): void {
    this.#alone = undefined;
  }

  /** Bytes promised to volumes, snapshots, what is being built and what has not yet given its space back. */
  get promised(): number {
    return this.#promised;
  }

  present(kind: "volume" | "snapshot", key: Key, size: number): void {
    this.#note(`${kind}/${key}`);
    this.#setKey(kind, key, size);
  }

  gone(kind: "volume" | "snapshot", key: Key): void {
    this.#note(`${kind}/${key}`);
    this.#setKey(kind, key, undefined);
  }

  /** Whether this process builds, grows and gives back nothing now. */
  get idle(): boolean {
    return this.#own.size === 0;
  }

  aside(path: string, size: number): void {
    this.#note(path);
    this.#own.add(path);
    this.#setAside(path, size);
  }

  /** Whether it is what this process builds, grows or gives back. */
  isOwn(path: string): boolean {
    return this.#own.has(path);
  }

  reclaimed(path: string): void {
    this.#note(path);
    this.#own.delete(path);
    this.#setAside(path, undefined);
  }

  /** A page in the order of keys. Entries that went meanwhile, or whose record can't be read, are left out. */
  async page<T>(shelf: Finder<T>, after: Key | undefined, max: number): Promise<KeyedPage<T>> {
    await this.current();
    const { kind } = shelf;
    const keys = this.#keys[kind].after(after, max);
    const entries = await inTurns(keys, 16, (key) => shelf.find(key).catch(unlessUnreadable));
    const last = keys.at(-1);
    const more = last !== undefined && this.#keys[kind].after(last, 1).length > 0;
    const there = entries.filter((entry) => entry !== undefined) as T[];
    return more ? { entries: there, next: last } : { entries: there };
  }

  async #compare(): Promise<void> {
    const changed = new Set<string>();
    this.#changed.add(changed);
    try {
      // In the order in which things move: one that moves meanwhile is counted twice, never not at all.
      const building = await listAside(this.#pool, "building");
      for (const kind of ["volume", "snapshot"] as const) await this.#compareShelf(kind, changed);
      const asides = new Map(
        [...building, ...(await listAside(this.#pool, "trash"))].map((each) => [each.path, each.size]),
      );
      for (const path of new Set([...this.#aside.keys(), ...asides.keys()])) {
        if (!changed.has(path)) this.#setAside(path, asides.get(path));
      }
    } finally {
      this.#changed.delete(changed);
    }
  }

  async #compareShelf(kind: "volume" | "snapshot", changed: ReadonlySet<string>): Promise<void> {
    const keys = await this.#shelves[kind].keys();
    const there = new Set(keys);
    for (const key of [...this.#keys[kind].ordered]) {
      if (!there.has(key) && !changed.has(`${kind}/${key}`)) this.#setKey(kind, key, undefined);
    }
    await inTurns(keys, width, async (key) => {
      const entry = await this.#shelves[kind].find(key).catch(unlessUnreadable);
      if (entry && !changed.has(`${kind}/${key}`)) this.#setKey(kind, key, entry.size);
    });
  }

  #note(what: string): void {
    for (const changed of this.#changed) changed.add(what);
  }

  #setKey(kind: "volume" | "snapshot", key: Key, size: number | undefined): void {
    const keys = this.#keys[kind];
    this.#promised += (size ?? 0) - (keys.sizes.get(key) ?? 0);
    if (size === undefined) keys.drop(key);
    else keys.add(key, size);
  }

  #setAside(path: string, size: number | undefined): void {
    this.#promised += (size ?? 0) - (this.#aside.get(path) ?? 0);
    if (size === undefined) this.#aside.delete(path);
    else this.#aside.set(path, size);
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
