/** Waits for all of them, also when one fails, so that nothing of them is under way afterwards. Throws the first one's error. */
export async function together(work: Iterable<Promise<unknown>>): Promise<void> {
  for (const each of await Promise.allSettled(work)) if (each.status === "rejected") throw each.reason;
}
