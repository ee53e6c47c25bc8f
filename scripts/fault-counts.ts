// Writes docs/reference/fault-counts.md from what `npm run test:faults -- --json FILE` stored: fault-counts.ts FILE ...
// Of a part that is in several files the last one counts.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface Row {
  readonly fault: string;
  readonly pool: string;
  readonly operation: string;
  readonly tries: number;
  readonly missed: number;
  readonly failures: readonly unknown[];
  readonly seconds: number;
}

interface Run {
  /** Absent in runs of before these two were stored. */
  readonly day?: string;
  readonly kernel?: string;
  readonly seed: number;
  readonly rows: readonly Row[];
}

const runs = process.argv.slice(2).map((file) => JSON.parse(readFileSync(file, "utf8")) as Run);
const rows = new Map(runs.flatMap((run) => run.rows.map((row) => [`${row.fault} ${row.pool} ${row.operation}`, row])));
const all = [...rows.values()];
const sum = (some: readonly Row[], of: (row: Row) => number) => some.reduce((total, row) => total + of(row), 0);

function table(fault: string): string {
  const some = all.filter((row) => row.fault === fault);
  const pools = [...new Set(some.map(({ pool }) => pool))];
  const operations = [...new Set(some.map(({ operation }) => operation))];
  const cell = (operation: string, pool: string) => {
    const row = some.find((each) => each.operation === operation && each.pool === pool);
    if (!row) return "";
    return row.failures.length === 0 ? `${row.tries}` : `${row.tries}, **${row.failures.length} failed**`;
  };
  const lines = operations.map((name) => `| ${[name, ...pools.map((pool) => cell(name, pool))].join(" | ")} |`);
  const head = `| ${["", ...pools].join(" | ")} |\n|${"---|".repeat(pools.length + 1)}`;
  const tries = sum(some, (row) => row.tries);
  const failed = sum(some, (row) => row.failures.length);
  const missed = sum(some, (row) => row.missed);
  const late = missed === 0 ? "" : `, ${missed} of them too late to break anything`;
  return `## ${fault}\n\n${tries} tries${late}; ${failed} failed.\n\n${head}\n${lines.join("\n")}\n`;
}

const faults = [...new Set(all.map(({ fault }) => fault))];
const known = (values: readonly (string | undefined)[]) =>
  [...new Set(values.filter((value) => value !== undefined))].sort();
const days = known(runs.map(({ day }) => day));
const kernels = known(runs.map(({ kernel }) => kernel));
const page = `# Faults tried, counted

Written by \`scripts/fault-counts.ts\` from what \`npm run test:faults -- --json FILE\` stored; no figure here was written by hand.
[What survives](../explanation/what-survives.md) says what the faults are and what must hold after each.

Runs of ${days.join(", ")}, on Linux ${kernels.join(", ")}: ${sum(all, (row) => row.tries)} tries, of which ${sum(all, (row) => row.missed)} came too
late to break anything; ${sum(all, (row) => row.failures.length)} failed; ${Math.round(sum(all, (row) => row.seconds) / 60)} minutes of tries. Each part
was run on the build of its moment; a part that is not here, or that has two or three tries, has only been run as part of the sample in \`npm test\`, or was cut short.

A row is an operation, or what a fault does where it has no operation; a column is a kind of pool ([test/faults/pools.ts](../../test/faults/pools.ts));
a number is how many tries were made of it, each with one thing broken.

${faults.map(table).join("\n")}`;
writeFileSync(join(import.meta.dirname, "../docs/reference/fault-counts.md"), page);
