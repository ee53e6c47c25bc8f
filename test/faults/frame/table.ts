import type { Row } from "./counts.ts";

/** Tries by fault and operation, a column a pool. */
export function table(all: readonly Row[]): string {
  const columns = [...new Set(all.map(({ pool }) => pool))];
  const key = ({ fault, operation }: Row) => `${fault} ${operation}`;
  const rows = [...new Set(all.map(key))].sort();
  const cell = (row: string, pool: string) => {
    const found = all.find((each) => key(each) === row && each.pool === pool);
    if (!found) return "";
    return `${found.tries}${found.failures.length > 0 ? ` (${found.failures.length} failed)` : ""}`;
  };
  const lines = [["tries", ...columns], ...rows.map((row) => [row, ...columns.map((pool) => cell(row, pool))])];
  const widths = lines[0]?.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0))) ?? [];
  const aligned = lines.map((line) => line.map((text, at) => text.padEnd(widths[at] ?? 0)).join("  "));
  return aligned.map((line) => line.trimEnd()).join("\n");
}
