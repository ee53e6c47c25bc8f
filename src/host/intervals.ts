/** When what failed, or was held by somebody, is tried again: soon, then at longer and longer intervals. */

/** Milliseconds. */
export const soonMs = 500;
const atMostMs = 60_000;

/** The interval that comes after one of `ms` milliseconds. */
export function longerThan(ms: number): number {
  return Math.min(2 * ms, atMostMs);
}
