/** What the halves of the rules share. */

import type { Log } from "../observe/log.ts";
import { NodeRecords } from "../pools/node-records.ts";
import type { Pool, Snapshot, Volume } from "../pools/pool.ts";
import { Requests } from "../pools/requests.ts";
import type { PoolSlot } from "../pools/slots.ts";
import { Bystanders } from "./answers.ts";
import { explain } from "./explain.ts";
import { Holder } from "./hold.ts";
import type { Ledger, Subject } from "./ledger.ts";
import type { PoolSet } from "./pool-set.ts";

/** Milliseconds that a new name waits for the pools that it is not for. */
const answerWithinMs = 500;

export class Context {
  readonly pools: PoolSet;
  readonly ledger: Ledger;
  readonly log: Log;
  readonly hold: Holder;
  readonly #bystanders: Bystanders;
  readonly #records = new Map<string, NodeRecords>();

  /** `opensVolumes`: no other process of this node does. */
  constructor(pools: PoolSet, ledger: Ledger, log: Log, opensVolumes = true) {
    this.pools = pools;
    this.ledger = ledger;
    this.log = log;
    this.#bystanders = new Bystanders(answerWithinMs, log);
    this.hold = new Holder((pool) => this.records(pool), log, opensVolumes ? undefined : pools.node);
  }

  /** What one of the other pools has, of those that can be asked now: see `Bystanders`. Undefined: none. */
  async inOthers<T>(
    pool: Pool | undefined,
    find: (other: Pool) => Promise<T | undefined>,
  ): Promise<{ readonly pool: Pool; readonly found: T } | undefined> {
    const others = this.pools.slots.filter((slot) => pool === undefined || slot.current !== pool);
    if (others.length === 0) return undefined;
    const ask = (slot: PoolSlot) =>
      this.#bystanders.ask(slot, async (other) => {
        const found = await find(other);
        return found === undefined ? undefined : { pool: other, found };
      });
    const answers = await Promise.all(others.map((slot) => ask(slot).catch(unlessUnavailable)));
    return answers.find((answer) => answer !== undefined);
  }

  /** This node's records in a pool. */
  records(pool: Pool): NodeRecords {
    let records = this.#records.get(pool.uuid);
    if (!records) {
      records = new NodeRecords(pool, this.pools.node);
      this.#records.set(pool.uuid, records);
    }
    return records;
  }

  /** What nodes are asked to cut, in a shared pool. */
  requests(pool: Pool): Requests {
    return new Requests(pool);
  }

  volumeSubject(pool: Pool, volume: Pick<Volume, "key" | "name">): Subject {
    return {
      key: `${pool.uuid}/volume/${volume.key}`,
      label: `volume '${volume.name}'`,
      lockPaths: [pool.lockPath("volume", volume.key)],
      share: this.pools.shareIn(pool),
      local: !pool.shared,
    };
  }

  snapshotSubject(pool: Pool, snapshot: Pick<Snapshot, "key" | "name">): Subject {
    return {
      key: `${pool.uuid}/snapshot/${snapshot.key}`,
      label: `snapshot '${snapshot.name}'`,
      lockPaths: [pool.lockPath("snapshot", snapshot.key)],
      share: this.pools.shareIn(pool),
      local: !pool.shared,
    };
  }
}

/** A pool whose disk is away or broken is no reason why another one should not be used. */
function unlessUnavailable(error: unknown): undefined {
  if (explain(error).kind !== "unavailable") throw error;
}
