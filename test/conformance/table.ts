/** The table that the suite ends with. */
interface Row {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
}

/** One line a configuration, then the sums; numbers stand to the right. */
export function formatTable(rows: readonly Row[]): string {
  const sum = (of: (row: Row) => number) => rows.reduce((total, row) => total + of(row), 0);
  const total = {
    name: `${rows.length} configurations`,
    passed: sum((row) => row.passed),
    failed: sum((row) => row.failed),
    skipped: sum((row) => row.skipped),
    seconds: sum((row) => row.seconds),
  };
  const width = Math.max(...[...rows, total].map(({ name }) => name.length));
  const line = (name: string, ...cells: string[]) =>
    [name.padEnd(width), ...cells.map((cell) => cell.padStart(8))].join("");
  const rule = "-".repeat(width + 32);
  const cells = (row: Row) =>
    line(row.name, `${row.passed}`, `${row.failed}`, `${row.skipped}`, row.seconds.toFixed(1));
  return [
    line("csi-sanity 5.5.0", "passed", "failed", "skipped", "seconds"),
    rule,
    ...rows.map(cells),
    rule,
    cells(total),
  ].join("\n");
}

/** Which capabilities the skipped specs are about, and which pools do not declare them. */
export function formatSkips(
  rows: readonly { readonly name: string; readonly skippedFor: readonly string[] }[],
): string {
  const pools = new Map<string, Set<string>>();
  for (const { name, skippedFor } of rows) {
    for (const capability of skippedFor) {
      const kinds = pools.get(capability) ?? new Set();
      pools.set(capability, kinds.add(name.split(" on ")[0] ?? name));
    }
  }
  const lines = [...pools]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([capability, kinds]) => `  ${capability.padEnd(36)} ${[...kinds].join(", ")}`);
  return ["skipped, each for a capability that the driver does not declare:", ...lines].join("\n");
}
