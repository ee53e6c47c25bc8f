import type { Pool, Volume } from "../pools/pool.ts";
import type { VolumeView } from "./api.ts";
import type { PoolSet } from "./pool-set.ts";
import { sourceOf } from "./sources.ts";

/** What a caller sees of a volume. */
export async function viewOf(pools: PoolSet, pool: Pool, volume: Volume): Promise<VolumeView> {
  const segments = pools.segments();
  const holders = (await pool.attachments?.holders(volume)) ?? [];
  return {
    id: pools.idOf(pool, volume),
    capacity: volume.size,
    context: {},
    topology: segments ? [segments] : [],
    publishedNodes: holders.map((holder) => holder.node),
    ...(volume.origin ? { source: sourceOf(volume.origin) } : {}),
  };
}
