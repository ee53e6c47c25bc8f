/**
 * The operator's word that a node is gone for ever: the attachment ends although the node never recorded the close, and
 * the next holder gets the bytes under a new inode, so that the old node, should it live, writes where nobody reads.
 */
import type { Call } from "./api.ts";
import { facet } from "./attaching.ts";
import type { Context } from "./context.ts";

export async function forceDetach(
  context: Context,
  id: string,
  call: Call,
  unfenced: boolean,
): Promise<readonly string[]> {
  const { pool, volume } = await context.pools.theVolume(id);
  const attachments = facet(pool);
  const nodes = await context.ledger.run(context.volumeSubject(pool, volume), call, id, async (progress) => {
    const holders = await attachments.holders(volume);
    const having = [
      ...new Set([...holders.map((holder) => holder.node), ...(await context.records(pool).nodesWith(volume))]),
    ];
    if (having.length === 0) return [];
    if (!unfenced || pool.features.gives === "device") await attachments.fence(volume, progress);
    for (const node of having) await context.records(pool).forget(volume.key, node);
    await attachments.setHolders(volume, []);
    context.log.warn({ volume: volume.name, nodes: having }, "detached by force");
    return having;
  });
  // An earlier command that was killed left its copy of the bytes; unlike a server, a command tidies nothing at its start.
  await pool.recover();
  return nodes;
}
