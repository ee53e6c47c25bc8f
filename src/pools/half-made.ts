/**
 * What servers that died left in `building/`. Each holds its promise of space until it is gone. Whoever builds holds its
 * entry's lock, and a crash has let go of it: that is how the dead are told from the living.
 */
import { longerThan, soonMs } from "../host/intervals.ts";
import { lockFile } from "../host/locks.ts";
import { eachApart } from "./each-apart.ts";
import type { Inventory } from "./inventory.ts";
import type { Key } from "./pool.ts";
import { type Aside, listAside } from "./shelf.ts";

interface Surroundings {
  readonly folder: string;
  readonly shared: boolean;
  readonly inventory: Pick<Inventory, "isOwn" | "reclaimed">;
  readonly lockPath: (kind: "volume" | "snapshot", key: Key) => string;
  readonly discard: (aside: Aside) => Promise<void>;
}

export class HalfMade {
  readonly #pool: Surroundings;
  #clearing: Promise<unknown> = Promise.resolve();
  #again: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(pool: Surroundings) {
    this.#pool = pool;
  }

  /**
   * Removes what nobody builds any more, and comes back for what is held or can't be removed now: the repeated call may have
   * its entry before this has. In a shared pool it comes back for ever, for another server may die at any time. Throws the
   * first of the errors. May be called again.
   */
  clear(againMs = soonMs): Promise<void> {
    const cleared = this.#clear().then(
      (left) => this.#later(left || this.#pool.shared, againMs),
      (error: unknown) => {
        this.#later(true, againMs);
        throw error;
      },
    );
    this.#clearing = cleared.catch(() => undefined);
    return cleared;
  }

  /**
   * The same once, for a promise that does not fit; what can't be removed stays counted, and nothing is thrown. `mine`: the
   * caller holds this entry's lock, so nobody else builds it.
   */
  async makeRoom(mine: Key): Promise<void> {
    await this.#clear(mine).catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#again);
    await this.#clearing;
  }

  #later(again: boolean, againMs: number): void {
    clearTimeout(this.#again);
    if (!again || this.#stopped) return;
    const clear = () => void this.clear(longerThan(againMs)).catch(() => undefined);
    this.#again = setTimeout(clear, againMs).unref();
  }

  /** True: something is left. */
  async #clear(mine?: Key): Promise<boolean> {
    let left = false;
    const { folder, inventory } = this.#pool;
    // What this process builds or failed to remove is in its own hands.
    const others = (await listAside(folder, "building")).filter(({ path }) => !inventory.isOwn(path));
    await eachApart(others, async (aside) => {
      const lock = aside.key === mine ? undefined : await lockFile(this.#lockOf(aside));
      if (lock && "heldBy" in lock) {
        left = true;
        return;
      }
      try {
        await this.#pool.discard(aside);
        inventory.reclaimed(aside.path);
      } finally {
        await lock?.release();
      }
    });
    return left;
  }

  #lockOf({ kind, key }: Aside): string {
    return this.#pool.lockPath(kind === "snapshot" ? "snapshot" : "volume", key);
  }
}
