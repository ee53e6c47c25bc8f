/** A volume's growth in its pool. */
import type { Pool, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import { explain } from "./explain.ts";

/**
 * As the pool's `grow`, but no room is GROWTH_TOO_LARGE: the CSI specification has OUT_OF_RANGE for it (ControllerExpandVolume
 * errors). RESOURCE_EXHAUSTED may mean that the growth still runs: Kubernetes then never lets a smaller size be asked for.
 */
export async function growInPool(pool: Pool, volume: Volume, bytes: number): Promise<Volume> {
  try {
    return await pool.grow(volume, bytes);
  } catch (error) {
    const problem = explain(error);
    if (problem.code !== "POOL_FULL") throw error;
    throw new Problem("GROWTH_TOO_LARGE", problem.what, { cause: error });
  }
}
