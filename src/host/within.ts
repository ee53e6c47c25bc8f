/** What `within` gives of work that did not end in time. */
export const silent = Symbol("silent");

/** Waits so many milliseconds for the work and no longer; it goes on, and its outcome is ignored then. Rejects as it does. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T | typeof silent> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof silent>((resolve) => {
    timer = setTimeout(() => resolve(silent), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
