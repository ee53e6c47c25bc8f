/** `npm run test:faults`: all of it, or the parts that are chosen; counts, progress, and the command that repeats each failure. */
import { parseArgs } from "node:util";
import { parts } from "../faults.ts";
import { Counts } from "./counts.ts";
import type { Part } from "./part.ts";
import { type Counted, repeatOf, runPart } from "./runner.ts";
import { table } from "./table.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    pool: { type: "string" },
    operation: { type: "string" },
    at: { type: "string" },
    seed: { type: "string", default: "1" },
    jobs: { type: "string", default: "2" },
    json: { type: "string" },
    resume: { type: "boolean", default: false },
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
const jobs = Number(values.jobs);

if (wanted.length === 0) refuse("No part has that fault, pool and operation; --list shows them all.");
if (values.resume && values.json === undefined) refuse("--resume goes on with the file that --json names.");
if (values.at !== undefined && values.json !== undefined)
  refuse("--at makes some of a part's tries; the file of --json has whole parts.");

const counts = open();
if (values.list) {
  for (const part of wanted)
    console.log(`${part.fault} ${part.pool} ${part.operation} (about ${counts.takes(part)} s${held(part)})`);
  process.exit(0);
}

const queue = wanted.filter((part) => !counts.held(part));
const under = new Set<Part>();
if (queue.length < wanted.length)
  console.log(`${wanted.length - queue.length} parts held before, ${queue.length} are left${left()}`);

async function worker(): Promise<void> {
  for (let part = queue.shift(); part; part = queue.shift()) {
    under.add(part);
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
    under.delete(part);
    counts.keep(counted);
    progress(counted);
  }
}

function progress({ part, tried, missed, failures, seconds }: Counted): void {
  const what = `${part.fault} ${part.pool} ${part.operation}`;
  const outcome = failures.length === 0 ? "held" : `${failures.length} FAILED`;
  const late = missed === 0 ? "" : ` (${missed} came too late)`;
  const done = wanted.length - queue.length - under.size;
  console.log(
    `${what}: ${tried} tries${late}, ${outcome}, ${seconds.toFixed(1)} s (${done} of ${wanted.length}${left()})`,
  );
}

/** The time left, by what each part took the last time, or guesses of itself. */
function left(): string {
  const seconds = [...queue, ...under].reduce((sum, part) => sum + counts.takes(part), 0) / jobs;
  return seconds === 0 ? "" : `, about ${Math.ceil(seconds / 60)} min left`;
}

await Promise.all(Array.from({ length: jobs }, worker));

const rows = counts.rows;
const sum = (of: (row: (typeof rows)[number]) => number) => rows.reduce((total, row) => total + of(row), 0);
const failed = sum(({ failures }) => failures.length);
console.log(`\n${table(rows)}\n`);
for (const row of rows)
  for (const { point } of row.failures) console.log(`failed: ${repeatOf({ part: row, point }, seed)}`);
console.log(
  `${sum(({ tries }) => tries)} tries (${sum(({ missed }) => missed)} came too late to break anything), ${failed} failures, ${sum(({ seconds }) => seconds)} s`,
);
process.exitCode = failed > 0 ? 1 : 0;

function open(): Counts {
  try {
    return new Counts(values.json, values.resume, { seed, sample: values.sample });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function held(part: Part): string {
  return counts.held(part) ? ", held" : "";
}

function refuse(why: string): never {
  console.error(why);
  process.exit(2);
}
