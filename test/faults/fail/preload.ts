/** The library of `preload.c`: compiled when it is first needed, and steered through a file that all processes map. */
import { execFileSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, openSync, readSync, renameSync, statSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";

/** As in preload.c, in its order. */
export const calls = [
  "write",
  "pwrite64",
  "read",
  "pread64",
  "copy_file_range",
  "close",
  "fsync",
  "open",
  "ioctl",
  "ftruncate",
  "fallocate",
] as const;
export type Call = (typeof calls)[number];
export type Scope = "driver" | "tool";

const scopes: readonly Scope[] = ["driver", "tool"];
const bytes = 4096;
/** Where the numbers stand that count the calls, 32 bits each: first the driver's, then its programs'. */
const seenAt = 16;

export function isCall(name: string): name is Call {
  return calls.some((call) => call === name);
}

export class Preload {
  readonly env: Readonly<Record<string, string>>;
  readonly #fd: number;

  /** `folder`: where the file lies that steers it. */
  constructor(folder: string) {
    const path = join(folder, "faults.control");
    this.#fd = openSync(path, "w+", 0o600);
    ftruncateSync(this.#fd, bytes);
    this.env = { LD_PRELOAD: compiled(), HOLDFAST_FAULTS: path };
  }

  /** The n-th of these calls from now on, counted over all threads, fails; `error` absent: it moves only a part. */
  arm(scope: Scope, call: Call, nth: number, error: string | undefined): void {
    const number = error === undefined ? 0 : errnoOf(error);
    this.#write([0, calls.indexOf(call), nth, number, 0]);
    this.#write([scopes.indexOf(scope) + 1]);
  }

  /** Answers whether it came to the call that was to fail. */
  disarm(): boolean {
    this.#write([0]);
    return this.#read()[4] === 1;
  }

  /** How often each call comes by while `work` runs. */
  async count(work: () => Promise<unknown>): Promise<Record<Scope, ReadonlyMap<Call, number>>> {
    const before = this.#read();
    await work();
    const after = this.#read();
    const of = (scope: Scope) => {
      const from = seenAt + scopes.indexOf(scope) * 16;
      return new Map(calls.map((call, at) => [call, (after[from + at] ?? 0) - (before[from + at] ?? 0)]));
    };
    return { driver: of("driver"), tool: of("tool") };
  }

  end(): void {
    closeSync(this.#fd);
  }

  #write(numbers: readonly number[]): void {
    writeSync(this.#fd, new Int32Array(numbers), 0, numbers.length * 4, 0);
  }

  #read(): Int32Array {
    const numbers = new Int32Array(bytes / 4);
    readSync(this.#fd, numbers, 0, bytes, 0);
    return numbers;
  }
}

function errnoOf(name: string): number {
  const found = Object.entries(constants.errno).find(([each]) => each === name);
  if (!found) throw new Error(`there is no error ${name}`);
  return found[1];
}

/** The path of the library, which is kept with what else can be made again. */
function compiled(): string {
  const source = join(import.meta.dirname, "preload.c");
  const folder = join(import.meta.dirname, "../../../.cache/faults");
  const { mtimeMs, size } = statSync(source);
  const library = join(folder, `preload-${size}-${Math.trunc(mtimeMs)}.so`);
  if (statSync(library, { throwIfNoEntry: false })) return library;
  mkdirSync(folder, { recursive: true });
  const aside = `${library}.${process.pid}`;
  execFileSync("gcc", ["-shared", "-fPIC", "-O2", "-Wall", "-o", aside, source, "-ldl"]);
  renameSync(aside, library);
  return library;
}
