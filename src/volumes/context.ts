/** What the halves of the rules share. */

import type { Log } from "../observe/log.ts";
import { NodeRecords } from "../pools/node-records.ts";
import type { Pool, Snapshot, Volume } from "../pools/pool.ts";
import { Requests } from "../pools/requests.ts";
import { Holder } from "./hold.ts";
import type { Ledger, Subject } from "./ledger.ts";
import type { PoolSet } from "./pool-set.ts";

export class Context {
  readonly pools: PoolSet;
  readonly ledger: Ledger;
  readonly log: Log;
  readonly hold: Holder;
  readonly #records = new Map<string, NodeRecords>();

  /** `opensVolumes`: no other process of this node does. */
  constructor(pools: PoolSet, ledger: Ledger, log: Log, opensVolumes = true) {
    this.pools = pools;
    this.ledger = ledger;
    this.log = log;
    this.hold = new Holder((pool) => this.records(pool), log, opensVolumes ? undefined : pools.node);
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
      local: !pool.shared,
    };
  }

  snapshotSubject(pool: Pool, snapshot: Pick<Snapshot, "key" | "name">): Subject {
    return {
      key: `${pool.uuid}/snapshot/${snapshot.key}`,
      label: `snapshot '${snapshot.name}'`,
      lockPaths: [pool.lockPath("snapshot", snapshot.key)],
      local: !pool.shared,
    };
  }
}
