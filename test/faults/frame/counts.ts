/** What came of parts, in the file that `--json` names: written after each part, so that a run that is cut short keeps its counts. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import type { Part } from "./part.ts";
import type { Counted } from "./runner.ts";

/** What came of one part. */
export interface Row {
  readonly fault: string;
  readonly pool: string;
  readonly operation: string;
  readonly tries: number;
  /** Of those, where the step to be broken did not come. */
  readonly missed: number;
  readonly failures: readonly { readonly point: string; readonly error: string }[];
  readonly seconds: number;
  /** As 2026-11-21. Absent in files of before rows had one: then it is the file's. */
  readonly day?: string;
  /** The commit that was tried, short; with a `+` when files differed from it. Absent: not known. */
  readonly revision?: string;
}

/** A file of them. */
export interface Run {
  readonly day?: string;
  readonly kernel?: string;
  readonly seed: number;
  /** Only a few tries of each part. Absent in the oldest files: not known. */
  readonly sample?: boolean;
  readonly rows: readonly Row[];
}

type Named = Pick<Part, "fault" | "pool" | "operation">;
const keyOf = ({ fault, pool, operation }: Named) => `${fault} ${pool} ${operation}`;

/** The rows of a run, and of those before it that it goes on with. */
export class Counts {
  readonly #file: string | undefined;
  readonly #head: Pick<Run, "seed" | "sample">;
  readonly #rows = new Map<string, Row>();
  /** What each part took the last time. */
  readonly #took = new Map<string, number>();
  readonly #revision = revision();

  /**
   * `file` absent: kept nowhere. `resume`: with the rows that the file has; else it is begun anew, and only tells how long
   * parts take. @throws when `resume` would mix tries of another seed, or those of a sample, with these.
   */
  constructor(file: string | undefined, resume: boolean, head: Pick<Run, "seed" | "sample">) {
    this.#file = file;
    this.#head = head;
    if (file === undefined || !existsSync(file)) return;
    const before = JSON.parse(readFileSync(file, "utf8")) as Run;
    for (const row of before.rows) this.#took.set(keyOf(row), row.seconds);
    if (!resume) return;
    if (before.seed !== head.seed || before.sample !== head.sample)
      throw new Error(`${file} has tries of seed ${before.seed}, sample: ${before.sample}; take another file`);
    for (const row of before.rows) this.#rows.set(keyOf(row), row);
  }

  get rows(): readonly Row[] {
    return [...this.#rows.values()];
  }

  /** It was tried, and nothing failed. */
  held(part: Named): boolean {
    return this.#rows.get(keyOf(part))?.failures.length === 0;
  }

  /** Seconds: what it took the last time, or what it says of itself. */
  takes(part: Part): number {
    return this.#took.get(keyOf(part)) ?? part.seconds;
  }

  /** The file has it when this returns, and is whole at any moment. */
  keep({ part: { fault, pool, operation }, tried, missed, failures, seconds }: Counted): void {
    const row: Row = {
      fault,
      pool,
      operation,
      tries: tried,
      missed,
      failures: failures.map(({ point, error }) => ({ point, error: String(error) })),
      seconds: Math.round(seconds),
      day: new Date().toISOString().slice(0, 10),
      ...(this.#revision === undefined ? {} : { revision: this.#revision }),
    };
    this.#rows.set(keyOf(row), row);
    if (this.#file === undefined) return;
    const run: Run = { kernel: release(), ...this.#head, rows: this.rows };
    writeFileSync(`${this.#file}.tmp`, `${JSON.stringify(run, undefined, 1)}\n`);
    renameSync(`${this.#file}.tmp`, this.#file);
  }
}

function revision(): string | undefined {
  try {
    const words = ["describe", "--always", "--exclude=*", "--dirty=+"];
    return execFileSync("git", words, { cwd: import.meta.dirname, encoding: "utf8", stdio: "pipe" }).trim();
  } catch {
    return undefined; // no git, or no history
  }
}
