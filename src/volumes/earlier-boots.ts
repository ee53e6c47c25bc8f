/** Notes of an earlier boot: their mounts went with it, and other nodes of a shared pool wait for their removal. */
import { longerThan, soonMs } from "../host/intervals.ts";
import { lockFile } from "../host/locks.ts";
import { eachApart } from "../pools/each-apart.ts";
import type { Pool } from "../pools/pool.ts";
import type { Context } from "./context.ts";

/** Throws the first of the errors. What a call holds is looked at again later, and this does not wait for it. */
export async function forgetEarlierBoots(context: Context, pool: Pool): Promise<void> {
  await eachApart(await context.records(pool).keys(), (key) => forget(context, pool, key, soonMs));
}

async function forget(context: Context, pool: Pool, key: string, againMs: number): Promise<void> {
  const records = context.records(pool);
  if ((await records.read(key)) !== undefined) return;
  const lock = await lockFile(pool.lockPath("volume", key));
  if ("heldBy" in lock) {
    const again = () => forget(context, pool, key, longerThan(againMs));
    const failed = (error: unknown) => context.log.warn({ pool: pool.name, error }, "a note of an earlier boot stays");
    setTimeout(() => void again().catch(failed), againMs).unref();
    return;
  }
  try {
    // The first stage after the boot may have written a new one between the look and the lock.
    if ((await records.read(key)) === undefined) await records.remove(key);
  } finally {
    await lock.release();
  }
}
