// Writes docs/reference/fault-counts.md from what `npm run test:faults -- --json FILE` stored: fault-counts.ts FILE ...
// Of a part that is in several files the last one counts. What a sample tried is no part's count.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parts } from "../test/faults/faults.ts";
import type { Row, Run } from "../test/faults/frame/counts.ts";

const runs = process.argv.slice(2).map((file) => JSON.parse(readFileSync(file, "utf8")) as Run);
const whole = runs.filter(({ sample }) => sample !== true);
const rows = whole.flatMap(({ day, rows: some }) =>
  some.map((row) => ({ ...(day === undefined ? {} : { day }), ...row })),
);
// A part that was renamed or taken away has no row.
const known = new Set(parts.map(keyOf));
const all = [...new Map(rows.map((row) => [keyOf(row), row])).values()].filter((row) => known.has(keyOf(row)));
const tried = new Map(all.map((row) => [keyOf(row), row]));

function keyOf({ fault, pool, operation }: Pick<Row, "fault" | "pool" | "operation">): string {
  return `${fault} ${pool} ${operation}`;
}

function sum(some: readonly Row[], of: (row: Row) => number): number {
  return some.reduce((total, row) => total + of(row), 0);
}

function unique(values: readonly (string | undefined)[]): string[] {
  return [...new Set(values.filter((value) => value !== undefined))].sort();
}

function table(fault: string): string {
  const its = parts.filter((part) => part.fault === fault);
  const some = all.filter((row) => row.fault === fault);
  const pools = [...new Set(its.map(({ pool }) => pool))];
  const operations = [...new Set(its.map(({ operation }) => operation))];
  const cell = (operation: string, pool: string) => {
    if (!its.some((part) => part.operation === operation && part.pool === pool)) return "";
    const row = tried.get(keyOf({ fault, pool, operation }));
    if (!row) return "–";
    return row.failures.length === 0 ? `${row.tries}` : `${row.tries}, **${row.failures.length} failed**`;
  };
  const lines = operations.map((name) => `| ${[name, ...pools.map((pool) => cell(name, pool))].join(" | ")} |`);
  const head = `| ${["", ...pools].join(" | ")} |\n|${"---|".repeat(pools.length + 1)}`;
  const missed = sum(some, (row) => row.missed);
  const late = missed === 0 ? "" : `, ${missed} of them too late to break anything`;
  const builds = unique(some.map(({ revision }) => revision));
  const on = builds.length === 0 ? "" : ` Builds: ${builds.join(", ")}.`;
  const days = unique(some.map(({ day }) => day)).join(", ");
  return `## ${fault}

${some.length} of ${its.length} parts, ${sum(some, (row) => row.tries)} tries${late}; ${sum(some, (row) => row.failures.length)} failed. ${days}.${on}

${head}
${lines.join("\n")}
`;
}

const days = unique(all.map(({ day }) => day));
const kernels = unique(runs.map(({ kernel }) => kernel));
const faults = [...new Set(parts.map(({ fault }) => fault))];
const page = `# Faults tried, counted

Written by \`scripts/fault-counts.ts\` from what \`npm run test:faults -- --json FILE\` stored; no figure here was written by hand.
[What survives](../explanation/what-survives.md) says what the faults are and what must hold after each.

Runs of ${days.join(", ")}, on Linux ${kernels.join(", ")}: ${all.length} of the suite's ${parts.length} parts, ${sum(all, (row) => row.tries)} tries, of which ${sum(all, (row) => row.missed)} came too
late to break anything; ${sum(all, (row) => row.failures.length)} failed; ${Math.round(sum(all, (row) => row.seconds) / 60)} minutes of tries. Each part
was run on the build of its moment.

A row is an operation, or what a fault does where it has no operation; a column is a kind of pool ([test/faults/pools.ts](../../test/faults/pools.ts));
a number is how many tries were made of it, each with one thing broken. Empty: there is no such part, for that pool has no such operation, or the fault needs only one
pool. –: it has not been run as a whole yet; what is marked for the sample is tried in each \`npm test\` all the same.

${faults.map(table).join("\n")}`;
writeFileSync(join(import.meta.dirname, "../docs/reference/fault-counts.md"), page);
