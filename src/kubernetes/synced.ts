/** Waiting for all that a helper watches. */

/** False: the signal came first, which is no failure. Absent ones are waited for by nobody. */
export async function allSynced(
  watched: readonly ({ readonly synced: Promise<unknown> } | undefined)[],
  signal: AbortSignal,
): Promise<boolean> {
  const ends = await Promise.allSettled(watched.map((each) => Promise.resolve(each?.synced)));
  if (signal.aborted) return false;
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  return true;
}
