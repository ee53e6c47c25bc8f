const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds from `10s`, `500ms`, `2m`, `1h`, or from a plain number of seconds. Throws an `Error` that says what was expected. */
export function parseDuration(value: string | number): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)?$/.exec(String(value).trim());
  if (match === null)
    throw new Error(`'${value}' is not a duration: write seconds, or a number with ms, s, m or h, as 10s`);
  return Math.round(Number(match[1]) * (units[match[2] ?? "s"] ?? 1000));
}

/** As `350 ms`, `1.2 s` or `2 m 5 s`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${Math.floor(milliseconds / 60_000)} m ${Math.round((milliseconds % 60_000) / 1000)} s`;
}
