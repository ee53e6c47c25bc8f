/**
 * Safe promises: what was promised to volumes and snapshots, with what deletion has not yet given back and a reserve,
 * never exceeds the pool's size times its overcommit. No lock: a promise is made visible first, then all are summed, and
 * whoever goes over withdraws.
 */
import type { Inventory } from "./inventory.ts";
import type { Key, PoolCapacity } from "./pool.ts";
import { Problem } from "./problem.ts";
import { type Aside, makeAside } from "./shelf.ts";

export interface Limits {
  /** Bytes; absent: measured. */
  readonly size?: number;
  /** At least 1; above it the pool may run full under its users. */
  readonly overcommit: number;
  /** Bytes kept back; absent: none with a given size, else a fiftieth of the measured one. */
  readonly reserve?: number;
}

/** A measured size is used again for this long, in milliseconds, unless a request would be refused by it. */
const measureFor = 30_000;
const reserveShare = 50;

export class Accounting {
  readonly #pool: string;
  readonly #name: string;
  readonly #limits: Limits;
  readonly #inventory: Inventory;
  readonly #measure: () => Promise<number>;
  /** Removes it and what was promised to it, now or later. */
  readonly #giveUp: (aside: Aside) => Promise<void>;
  /** Takes away what servers that died were building; the caller holds the lock of the entry `mine`. */
  readonly #makeRoom: (mine: Key) => Promise<void>;
  #measured: { readonly size: number; readonly at: number } | undefined;

  constructor(
    pool: { readonly folder: string; readonly name: string },
    limits: Limits,
    inventory: Inventory,
    bytes: {
      readonly measure: () => Promise<number>;
      readonly giveUp: (aside: Aside) => Promise<void>;
      readonly makeRoom: (mine: Key) => Promise<void>;
    },
  ) {
    this.#pool = pool.folder;
    this.#name = pool.name;
    this.#limits = limits;
    this.#inventory = inventory;
    this.#measure = bytes.measure;
    this.#giveUp = bytes.giveUp;
    this.#makeRoom = bytes.makeRoom;
  }

  /**
   * A place in `building/` with `size` bytes promised to it, for an entry whose lock the caller holds. Throws POOL_FULL with
   * the figures.
   */
  async promise(kind: string, key: Key, size: number): Promise<Aside> {
    await this.#inventory.announce();
    const aside = await makeAside(this.#pool, kind, key, size);
    this.#inventory.aside(aside.path, size);
    try {
      await this.#inventory.current();
      let capacity = await this.#figures(false);
      if (this.#over(capacity)) {
        await this.#makeRoom(key);
        capacity = await this.#figures(true);
      }
      if (this.#over(capacity)) throw this.#full(size, capacity);
      return aside;
    } catch (error) {
      await this.withdraw(aside);
      throw error;
    }
  }

  /** Gives up what `promise` gave, with all that was built in it: later, where it can't be removed now. May be called twice. */
  withdraw(aside: Aside): Promise<void> {
    return this.#giveUp(aside);
  }

  async capacity(): Promise<PoolCapacity> {
    await this.#inventory.current();
    return this.#figures(false);
  }

  async #figures(fresh: boolean): Promise<PoolCapacity> {
    const total = this.#limits.size ?? (await this.#size(fresh));
    const reserve = this.#limits.reserve ?? (this.#limits.size === undefined ? Math.floor(total / reserveShare) : 0);
    const promised = this.#inventory.promised;
    const limit = Math.floor((total - reserve) * this.#limits.overcommit);
    return { total, reserve, promised, available: Math.max(0, limit - promised) };
  }

  #over(capacity: PoolCapacity): boolean {
    return capacity.promised > Math.floor((capacity.total - capacity.reserve) * this.#limits.overcommit);
  }

  async #size(fresh: boolean): Promise<number> {
    if (fresh || !this.#measured || Date.now() - this.#measured.at > measureFor) {
      this.#measured = { size: await this.#measure(), at: Date.now() };
    }
    return this.#measured.size;
  }

  #full(size: number, capacity: PoolCapacity): Problem {
    const before = capacity.promised - size;
    return new Problem(
      "POOL_FULL",
      `${size} bytes do not fit into the pool '${this.#name}': of its ${capacity.total} bytes (overcommit ` +
        `${this.#limits.overcommit}) ${before} are promised to volumes, snapshots and unfinished deletions and ` +
        `${capacity.reserve} are kept in reserve`,
    );
  }
}
