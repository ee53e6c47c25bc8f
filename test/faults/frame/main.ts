/** `npm run test:faults`: all of it, or the parts that are chosen; counts, progress, and the command that repeats each failure. */
import { writeFileSync } from "node:fs";
import { release } from "node:os";
import { parseArgs } from "node:util";
import { parts } from "../faults.ts";
import type { Part } from "./part.ts";
import { type Counted, repeatOf, runPart } from "./runner.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    pool: { type: "string" },
    operation: { type: "string" },
    at: { type: "string" },
    seed: { type: "string", default: "1" },
    jobs: { type: "string", default: "2" },
    json: { type: "string" },
    sample: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});

const chosen = (asked: string | undefined, is: string) => asked === undefined || asked.split(",").includes(is);
const wanted = parts.filter(
  (part) =>
    (part.sample || !values.sample) &&
    chosen(values.only, part.fault) &&
    chosen(values.pool, part.pool) &&
    chosen(values.operation, part.operation),
);
const seed = Number(values.seed);

if (wanted.length === 0) {
  console.error("No part has that fault, pool and operation; --list shows them all.");
  process.exit(2);
}
if (values.list) {
  for (const { fault, pool, operation, seconds } of wanted)
    console.log(`${fault} ${pool} ${operation} (about ${seconds} s)`);
  process.exit(0);
}

const done: Counted[] = [];
const began = performance.now();
const total = wanted.reduce((sum, { seconds }) => sum + seconds, 0);
const queue = [...wanted];

async function worker(): Promise<void> {
  for (let part = queue.shift(); part; part = queue.shift()) {
    const counted = await runPart(part, {
      sample: values.sample,
      seed,
      at: values.at,
      failed: (failure) => {
        const { error } = failure;
        console.log(`FAILED ${failure.part.fault} ${failure.part.pool} ${failure.part.operation} ${failure.point}`);
        console.log(`  ${(error instanceof Error ? error.message : String(error)).replaceAll("\n", "\n  ")}`);
        console.log(`  repeat it with: ${repeatOf(failure, seed)}`);
      },
    });
    done.push(counted);
    progress(counted);
  }
}

/** How far it is, and the time left by how fast it went so far. */
function progress({ part, tried, missed, failures, seconds }: Counted): void {
  const share = done.reduce((sum, { part: { seconds: guess } }) => sum + guess, 0) / total;
  const left = ((performance.now() - began) / share) * (1 - share);
  const what = `${part.fault} ${part.pool} ${part.operation}`;
  const outcome = failures.length === 0 ? "held" : `${failures.length} FAILED`;
  const rest = left < 1000 ? "" : `, about ${Math.ceil(left / 60_000)} min left`;
  const late = missed === 0 ? "" : ` (${missed} came too late)`;
  console.log(
    `${what}: ${tried} tries${late}, ${outcome}, ${seconds.toFixed(1)} s (${Math.round(share * 100)} %${rest})`,
  );
}

await Promise.all(Array.from({ length: Number(values.jobs) }, worker));

const failures = done.flatMap((counted) => counted.failures);
console.log(`\n${table(done)}\n`);
for (const failure of failures) console.log(`failed: ${repeatOf(failure, seed)}`);
const tried = done.reduce((sum, counted) => sum + counted.tried, 0);
const missed = done.reduce((sum, counted) => sum + counted.missed, 0);
console.log(
  `${tried} tries (${missed} came too late to break anything), ${failures.length} failures, ${Math.round((performance.now() - began) / 1000)} s`,
);
if (values.json !== undefined) {
  const rows = done.map(({ part: { fault, pool, operation }, tried: count, missed, failures: failed, seconds }) => ({
    fault,
    pool,
    operation,
    tries: count,
    missed,
    failures: failed.map(({ point, error }) => ({ point, error: String(error) })),
    seconds: Math.round(seconds),
  }));
  const run = { day: new Date().toISOString().slice(0, 10), kernel: release(), seed, sample: values.sample, rows };
  writeFileSync(values.json, `${JSON.stringify(run, undefined, 1)}\n`);
}
process.exitCode = failures.length > 0 ? 1 : 0;

/** Tries by fault and operation, a column a pool. */
function table(all: readonly Counted[]): string {
  const columns = [...new Set(all.map(({ part }) => part.pool))];
  const key = (part: Part) => `${part.fault} ${part.operation}`;
  const rows = [...new Set(all.map(({ part }) => key(part)))].sort();
  const cell = (row: string, pool: string) => {
    const found = all.filter(({ part }) => key(part) === row && part.pool === pool);
    const failed = found.reduce((sum, counted) => sum + counted.failures.length, 0);
    const count = found.reduce((sum, counted) => sum + counted.tried, 0);
    return found.length === 0 ? "" : `${count}${failed > 0 ? ` (${failed} failed)` : ""}`;
  };
  const lines = [["tries", ...columns], ...rows.map((row) => [row, ...columns.map((pool) => cell(row, pool))])];
  const widths = lines[0]?.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0))) ?? [];
  return lines
    .map((line) =>
      line
        .map((text, at) => text.padEnd(widths[at] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
