/** How the commands print: tables for people, JSON for programs. */

export const formats = ["table", "json", "id"] as const;
/** `id`: only the ID, one a line, for scripts. */
export type Format = (typeof formats)[number];

/** Rows under a head, in columns two spaces apart. Without rows, only the head. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows].map((row) => row.map(printable));
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  return `${all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n")}\n`;
}

/** Keys and values, one pair a line. */
export function pairs(entries: readonly (readonly [string, string])[]): string {
  const width = Math.max(...entries.map(([key]) => key.length));
  return `${entries.map(([key, value]) => `${key.padEnd(width)}  ${printable(value)}`.trimEnd()).join("\n")}\n`;
}

/** `a=1, b=2`; a dash when empty. */
export function mapText(map: Readonly<Record<string, string>>): string {
  const parts = Object.entries(map).map(([key, value]) => `${key}=${value}`);
  return parts.length === 0 ? "-" : parts.join(", ");
}

/** Prints `value` as JSON, its ID alone, or what `text` makes of it. */
export function print<T>(format: Format, value: T, text: (value: T) => string): void {
  const ids = format === "id" ? idsOf(value) : undefined;
  if (ids !== undefined) process.stdout.write(ids.map((id) => `${printable(id)}\n`).join(""));
  else process.stdout.write(format === "json" ? `${JSON.stringify(value, null, 2)}\n` : text(value));
}

/** Undefined: it is not about something with an ID. */
function idsOf(value: unknown): string[] | undefined {
  if (Array.isArray(value)) return value.flatMap((each) => idsOf(each) ?? []);
  return typeof value === "object" && value !== null && "id" in value && typeof value.id === "string"
    ? [value.id]
    : undefined;
}

/** A driver's answer must not be able to move the cursor of whoever reads it. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, "?");
}
