/** Whether a volume may go: neither attached, nor staged, nor open, nor mounted anywhere that can be seen. */
import type { Pool, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import type { Context } from "./context.ts";
import { mountedBeside } from "./mounted.ts";

/** The caller holds the volume's lock. Throws VOLUME_IN_USE that says where. */
export async function refuseInUse(context: Context, pool: Pool, volume: Volume): Promise<void> {
  const holders = (await pool.attachments?.holders(volume)) ?? [];
  if (holders.length > 0) {
    const nodes = holders.map((holder) => holder.node).join(", ");
    throw new Problem("VOLUME_IN_USE", `the volume '${volume.name}' is attached to ${nodes}`);
  }
  const nodes = await context.records(pool).nodesWith(volume);
  if (nodes.length > 0)
    throw new Problem("VOLUME_IN_USE", `the volume '${volume.name}' is staged on ${nodes.join(", ")}`);
  // A directory is never "open": where it is mounted says whether somebody has it.
  const place = pool.features.gives === "directory" ? await pool.opened(volume) : undefined;
  const mounts = place ? await mountedBeside(place, "") : [];
  if (mounts.length > 0)
    throw new Problem("VOLUME_IN_USE", `the volume '${volume.name}' is mounted at ${mounts.join(", ")}`);
  const holder = await pool.inUse(volume);
  if (holder !== undefined) throw new Problem("VOLUME_IN_USE", `the volume '${volume.name}' is open: ${holder}`);
}
