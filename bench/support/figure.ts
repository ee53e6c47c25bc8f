/** What a group of the bench brings home. */

export interface Figure {
  /** What was measured, as `image ext4, 8 callers`. */
  readonly name: string;
  readonly value: number;
  /** As `ms`, `a second`, `MB`, `x` for a plain ratio. */
  readonly unit: string;
  /** What it is held against, measured in the same run. `ratio` says which way round they are divided. */
  readonly beside?: { readonly name: string; readonly value: number; readonly ratio: number };
  /** Of the issue: its words, and whether this run met it. */
  readonly target?: { readonly text: string; readonly met: boolean };
  /** For the stored file, and in brackets in the table where `note` has it. */
  readonly more?: Readonly<Record<string, number>>;
  readonly note?: string;
}

export interface Table {
  readonly title: string;
  readonly figures: readonly Figure[];
}

export function atMost(value: number, limit: number, unit: string): { text: string; met: boolean } {
  return { text: `at most ${limit} ${unit}`, met: value <= limit };
}

export function atLeast(value: number, limit: number, unit: string): { text: string; met: boolean } {
  return { text: `at least ${limit} ${unit}`, met: value >= limit };
}

/** The smallest value that at least `share` (0 to 1) of all are not above; NaN of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** For people: three digits that count. */
export function shown(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}
