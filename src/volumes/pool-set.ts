/** The configured pools, and which of them an ID, a name or a request belongs to. */
import { inShare, type Share } from "../host/share.ts";
import { formatId, type Identity, isIdOf, keyOf, parseId } from "../pools/ids.ts";
import type { Pool, Snapshot, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import type { PoolSlot } from "../pools/slots.ts";
import { asked } from "./answers.ts";
import type { Call, Segments } from "./api.ts";

export class PoolSet {
  readonly node: string;
  readonly topologyKey: string;
  readonly shared: boolean;
  readonly #slots: readonly PoolSlot[];

  constructor(slots: readonly PoolSlot[], node: string, driverName: string) {
    this.#slots = slots;
    this.node = node;
    this.topologyKey = `${driverName}/node`;
    this.shared = slots.some((slot) => slot.config.shared);
  }

  get names(): string[] {
    return this.#slots.map((slot) => slot.config.name);
  }

  get slots(): readonly PoolSlot[] {
    return this.#slots;
  }

  /** Every pool; throws POOL_UNAVAILABLE where one is missing or does not answer: what is in it can't be known. */
  all(call: Call): Promise<Pool[]> {
    return Promise.all(this.#slots.map((slot) => asked(slot, call, async (pool) => pool)));
  }

  /** In the share of the pool, and within its caller's time: see `asked`. */
  ask<T>(pool: Pool, call: Call, question: () => Promise<T>): Promise<T> {
    const slot = this.#slots.find((each) => each.current === pool);
    return slot ? asked(slot, call, question) : question();
  }

  /** The share of an ID's pool; absent: none of the pools that were opened has it. */
  shareOf(id: string): Share | undefined {
    return this.#slots.find(({ current }) => current && isIdOf(current.uuid, id))?.share;
  }

  /** The share of the pool that a request names, or of the only one. */
  shareNamed(name: string | undefined): Share | undefined {
    const [only, ...others] = this.#slots;
    if (name === undefined) return others.length === 0 ? only?.share : undefined;
    return this.#slots.find((each) => each.config.name === name)?.share;
  }

  shareIn(pool: Pool): Share | undefined {
    return this.#slots.find((each) => each.current === pool)?.share;
  }

  /** Runs `work` in the share of the pool. */
  within<T>(pool: Pool, work: () => T): T {
    return inShare(this.shareIn(pool), work);
  }

  /** The pool that a request names, or the only one. Throws PARAMETER_UNKNOWN. */
  named(name: string | undefined): Promise<Pool> {
    if (name === undefined) {
      const [only, ...others] = this.#slots;
      if (only && others.length === 0) return only.pool();
      throw new Problem("PARAMETER_UNKNOWN", `the parameter 'pool' is needed, one of ${this.names.join(", ")}`);
    }
    const slot = this.#slots.find((each) => each.config.name === name);
    if (!slot) throw new Problem("PARAMETER_UNKNOWN", `there is no pool '${name}': known are ${this.names.join(", ")}`);
    return slot.pool();
  }

  /**
   * The pool of an ID. Undefined: no driver of ours ever gave this ID, so what it names is absent. Throws FOREIGN_ID
   * for an ID of another pool or node, which must never pass for "already deleted".
   */
  async locate(id: string): Promise<{ readonly pool: Pool; readonly identity: Identity } | undefined> {
    const identity = parseId(id);
    if (!identity) return undefined;
    const missing: unknown[] = [];
    // One that is not open yet may not answer, and must not be waited for where another one is meant.
    const known = this.#slots.find(({ current }) => current?.uuid === identity.pool);
    for (const slot of known ? [known] : this.#slots) {
      try {
        const pool = await slot.pool();
        if (pool.uuid !== identity.pool) continue;
        const foreign = pool.shared
          ? identity.node !== undefined
          : identity.node === undefined || !this.#carries(slot, identity.node);
        if (foreign)
          throw new Problem(
            "FOREIGN_ID",
            `the ID ${id} is of the pool '${pool.name}' but not of this node (${this.node})`,
          );
        return { pool, identity };
      } catch (error) {
        if (error instanceof Problem && error.code === "FOREIGN_ID") throw error;
        missing.push(error);
      }
    }
    if (missing.length > 0) throw missing[0];
    throw new Problem("FOREIGN_ID", `the ID ${id} is of a pool that this process does not serve`);
  }

  async volume(id: string): Promise<{ readonly pool: Pool; readonly volume: Volume } | undefined> {
    const place = await this.locate(id);
    if (!place) return undefined;
    const volume = await place.pool.find(place.identity.key);
    return volume?.nonce === place.identity.nonce ? { pool: place.pool, volume } : undefined;
  }

  /** An ephemeral volume, by the orchestrator's own ID of it. Throws POOL_UNAVAILABLE where it may be in a pool that is missing. */
  async ephemeral(id: string): Promise<{ readonly pool: Pool; readonly volume: Volume } | undefined> {
    if (this.shared || parseId(id)) return undefined;
    const looks = this.#slots.map((slot) =>
      inShare(slot.share, async () => {
        const pool = await slot.pool();
        const volume = await pool.find(keyOf("ephemeral", pool.uuid, id));
        return volume?.ephemeral ? { pool, volume } : undefined;
      }),
    );
    // The first that has it: where it is not, a disk may not answer.
    const found = looks.map(async (look) => (await look) ?? Promise.reject(new Error("not here")));
    try {
      return await Promise.any(found);
    } catch {
      await Promise.all(looks);
      return undefined;
    }
  }

  /** Throws VOLUME_NOT_FOUND. */
  async theVolume(id: string): Promise<{ readonly pool: Pool; readonly volume: Volume }> {
    const found = await this.volume(id);
    if (found) return found;
    throw new Problem("VOLUME_NOT_FOUND", `there is no volume ${shown(id)}`);
  }

  async snapshot(id: string): Promise<{ readonly pool: Pool; readonly snapshot: Snapshot } | undefined> {
    const place = await this.locate(id);
    if (!place) return undefined;
    const snapshot = await place.pool.findSnapshot(place.identity.key);
    return snapshot?.nonce === place.identity.nonce ? { pool: place.pool, snapshot } : undefined;
  }

  /** The same for ever: a volume that was made under the node's earlier name keeps it. */
  idOf(pool: Pool, entry: { readonly key: string; readonly nonce: string; readonly node?: string }): string {
    return formatId({
      pool: pool.uuid,
      key: entry.key,
      nonce: entry.nonce,
      ...(pool.shared ? {} : { node: entry.node ?? this.#firstName(pool) }),
    });
  }

  /** Absent for shared pools, which every node reaches. */
  segments(): Segments | undefined {
    return this.shared ? undefined : { [this.topologyKey]: this.node };
  }

  /** What a new volume or snapshot keeps of this node. */
  namedHere(pool: Pool): { readonly node?: string } {
    return pool.shared ? {} : { node: this.node };
  }

  #firstName(pool: Pool): string {
    return this.#slots.find((slot) => slot.config.name === pool.name)?.nodes[0] ?? this.node;
  }

  #carries(slot: PoolSlot, node: string): boolean {
    return node === this.node || slot.nodes.includes(node);
  }
}

/** The volume as it is now that its lock is held. Throws VOLUME_NOT_FOUND where it went before. */
export async function stillThere(pool: Pool, volume: Volume): Promise<Volume> {
  const current = await pool.find(volume.key);
  if (current?.nonce === volume.nonce) return current;
  throw new Problem("VOLUME_NOT_FOUND", "the volume was deleted meanwhile");
}

/** IDs come from outside: cut, and only what is printable, before they go into a message. */
export function shown(text: string): string {
  const clean = text.replaceAll(/[^\x20-\x7e]/g, "?");
  return `'${clean.length > 128 ? `${clean.slice(0, 128)}...` : clean}'`;
}
