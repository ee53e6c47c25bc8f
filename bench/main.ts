/**
 * The bench: measures the driver against what the machine itself can do in the same run.
 *
 *     npm run bench -- [--only GROUP[,GROUP...]] [--quick] [--json FILE] [--program FILE]
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeScratch } from "../test/support/scratch.ts";
import { copies } from "./copies.ts";
import { fio } from "./fio.ts";
import { lifecycle } from "./lifecycle.ts";
import { processGroup } from "./process.ts";
import { scale } from "./scale.ts";
import type { Bench, Group } from "./support/bench.ts";
import type { Table } from "./support/figure.ts";
import { machine, printTable, store } from "./support/report.ts";

const groups: Readonly<Record<string, Group>> = { process: processGroup, lifecycle, copies, scale, fio };

const root = join(import.meta.dirname, "..");
const usage = `npm run bench -- [--only ${Object.keys(groups).join(",")}] [--quick] [--json FILE] [--program FILE]
  --only     these groups only
  --quick    a short run: its figures are noisy
  --json     where the figures are stored; absent: .cache/bench/, a new file each time
  --program  another checkout's bin/holdfast: compares two builds with one bench`;

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    program: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(`${usage}\n`);
  process.exit(0);
}
const chosen = values.only === undefined ? Object.keys(groups) : values.only.split(",");
const unknown = chosen.find((name) => groups[name] === undefined);
if (unknown !== undefined) {
  process.stderr.write(`there is no group '${unknown}'\n${usage}\n`);
  process.exit(2);
}

const began = new Date().toISOString();
const results: Record<string, readonly Table[]> = {};
let failed = false;
for (const name of chosen) {
  const group = groups[name];
  if (group) await measure(name, group);
}
const path = values.json ?? join(root, ".cache/bench", `${began.replaceAll(/[:.]/g, "-")}.json`);
store(path, { began, quick: values.quick, program: values.program ?? "bin/holdfast", machine: machine(), results });
const figures = Object.values(results).flatMap((tables) => tables.flatMap((table) => table.figures));
const targets = figures.flatMap((figure) => figure.target ?? []);
const met = targets.filter((target) => target.met).length;
process.stdout.write(`\n${met} of ${targets.length} targets met; all figures: ${path}\n`);
// A figure that misses its target is a result, not a failure: only work that went wrong fails the run.
process.exit(failed ? 1 : 0);

/** Each group has a scratch folder of its own, which ends with everything in it whatever happens. */
async function measure(name: string, group: Group): Promise<void> {
  const scratch = makeScratch();
  const stop = () => void scratch.end().finally(() => process.exit(130));
  process.once("SIGINT", stop).once("SIGTERM", stop);
  const bench: Bench = {
    scratch,
    quick: values.quick,
    program: values.program ?? join(root, "bin/holdfast"),
    say: (text) => void process.stderr.write(`  ${name}: ${text}\n`),
  };
  try {
    const tables = await group(bench);
    results[name] = tables;
    for (const table of tables) printTable(table);
  } catch (error) {
    failed = true;
    process.stderr.write(`${name} failed: ${error instanceof Error ? error.stack : String(error)}\n`);
  } finally {
    await scratch.end().catch((error: unknown) => {
      failed = true;
      process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`);
    });
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
}
