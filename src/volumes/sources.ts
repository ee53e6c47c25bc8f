/** What a copy is made from. */
import type { Origin, Pool, Snapshot, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import type { ContentSource } from "./api.ts";
import type { PoolSet } from "./pool-set.ts";

export interface Source {
  readonly origin: Origin;
  readonly size: number;
  readonly snapshot?: Snapshot;
  readonly volume?: Volume;
}

/** Throws SNAPSHOT_NOT_FOUND or VOLUME_NOT_FOUND, and SOURCE_UNSUPPORTED where the pool can't copy it. */
export async function sourceFor(pools: PoolSet, source: ContentSource, pool: Pool): Promise<Source> {
  if ("snapshotId" in source) {
    const found = await pools.snapshot(source.snapshotId);
    if (!found) throw new Problem("SNAPSHOT_NOT_FOUND", "there is no such snapshot to restore");
    refuseOtherPool(found.pool, pool);
    const { key, nonce, size } = found.snapshot;
    return { origin: { kind: "snapshot", id: source.snapshotId, key, nonce }, size, snapshot: found.snapshot };
  }
  const found = await pools.volume(source.volumeId);
  if (!found) throw new Problem("VOLUME_NOT_FOUND", "there is no such volume to clone");
  refuseOtherPool(found.pool, pool);
  if (!pool.features.clones) throw new Problem("SOURCE_UNSUPPORTED", `the pool '${pool.name}' makes no clones`);
  const { key, nonce, size } = found.volume;
  return { origin: { kind: "volume", id: source.volumeId, key, nonce }, size, volume: found.volume };
}

function refuseOtherPool(source: Pool, wanted: Pool): void {
  if (source !== wanted) {
    throw new Problem(
      "SOURCE_UNSUPPORTED",
      `the source is in the pool '${source.name}' and the volume is to be in '${wanted.name}'`,
    );
  }
}

export function idOfSource(source: ContentSource): string {
  return "snapshotId" in source ? source.snapshotId : source.volumeId;
}

export function sourceOf(origin: Origin): ContentSource {
  return origin.kind === "snapshot" ? { snapshotId: origin.id } : { volumeId: origin.id };
}
