/** What both benches do with their groups: choose, measure one after the other, print, store. */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeScratch } from "../../test/support/scratch.ts";
import type { Bench, Group } from "./bench.ts";
import type { Table } from "./figure.ts";
import { machine, printTable, store } from "./report.ts";

const root = join(import.meta.dirname, "../..");

export interface BenchOptions {
  /** As `npm run bench`. */
  readonly command: string;
  readonly groups: Readonly<Record<string, Group>>;
  /** Takes `--program`. */
  readonly otherPrograms: boolean;
  /** Goes before the time in the stored file's name. */
  readonly prefix: string;
}

/** Reads the command line, runs the groups, and ends the process: 1 when work went wrong, 2 for a wrong command line. */
export async function runGroups({ command, groups, otherPrograms, prefix }: BenchOptions): Promise<never> {
  const program = otherPrograms
    ? "\n  --program  another checkout's bin/holdfast: compares two builds with one bench"
    : "";
  const usage = `${command} -- [--only ${Object.keys(groups).join(",")}] [--quick] [--json FILE]${otherPrograms ? " [--program FILE]" : ""}
  --only     these groups only
  --quick    a short run: its figures are noisy
  --json     where the figures are stored; absent: .cache/bench/, a new file each time${program}`;
  const wrong = (message: string): never => {
    process.stderr.write(`${message}\n${usage}\n`);
    process.exit(2);
  };
  const options = {
    only: { type: "string" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    program: { type: "string" },
    help: { type: "boolean", default: false },
  } as const;
  const { values } = parseArgs({ options });
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  if (values.program !== undefined && !otherPrograms) wrong("this bench measures its own checkout only");
  const chosen = values.only === undefined ? Object.keys(groups) : values.only.split(",");
  const unknown = chosen.find((name) => groups[name] === undefined);
  if (unknown !== undefined) wrong(`there is no group '${unknown}'`);

  const began = new Date().toISOString();
  const results: Record<string, readonly Table[]> = {};
  let failed = false;
  for (const name of chosen) {
    const group = groups[name];
    if (group === undefined) continue;
    const tables = await measure(name, group, values.quick, values.program ?? join(root, "bin/holdfast"));
    results[name] = tables.measured;
    failed ||= tables.failed;
  }
  const path = values.json ?? join(root, ".cache/bench", `${prefix}${began.replaceAll(/[:.]/g, "-")}.json`);
  store(path, { began, quick: values.quick, program: values.program ?? "bin/holdfast", machine: machine(), results });
  const figures = Object.values(results).flatMap((tables) => tables.flatMap((table) => table.figures));
  const targets = figures.flatMap((figure) => figure.target ?? []);
  const met = targets.filter((target) => target.met).length;
  process.stdout.write(`\n${met} of ${targets.length} targets met; all figures: ${path}\n`);
  // A figure that misses its target is a result, not a failure: only work that went wrong fails the run.
  process.exit(failed ? 1 : 0);
}

interface Measured {
  readonly measured: readonly Table[];
  readonly failed: boolean;
}

/** Each group has a scratch folder of its own, which ends with everything in it whatever happens. */
async function measure(name: string, group: Group, quick: boolean, program: string): Promise<Measured> {
  const scratch = makeScratch();
  let stopped = false;
  const stop = () => {
    stopped = true;
    void scratch.end().finally(() => process.exit(130));
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
  const say = (text: string) => void process.stderr.write(`  ${name}: ${text}\n`);
  const bench: Bench = { scratch, quick, program, say };
  let measured: readonly Table[] = [];
  let failed = false;
  try {
    measured = await group(bench);
    for (const table of measured) printTable(table);
  } catch (error) {
    // What it used was taken away below it; the end of that ends the process.
    if (stopped) await new Promise(() => undefined);
    failed = true;
    process.stderr.write(`${name} failed: ${error instanceof Error ? error.stack : String(error)}\n`);
  } finally {
    await scratch.end().catch((error: unknown) => {
      failed = true;
      process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`);
    });
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
  return { measured, failed };
}
