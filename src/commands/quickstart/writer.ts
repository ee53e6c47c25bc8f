/** Writes numbered lines without end, each durable before the next: so a snapshot can be checked against time. */
import { type FileHandle, open, readFile } from "node:fs/promises";
import { CheckFailed } from "./story.ts";

export class Writer {
  /** How many lines are durable. */
  lines = 0;
  /** The longest that one line took, in milliseconds: it stood still while the file system was frozen. */
  longest = 0;
  readonly #file: FileHandle;
  #stopped = false;
  readonly #done: Promise<void>;

  private constructor(file: FileHandle) {
    this.#file = file;
    this.#done = this.#run();
    // Told by stop(); until then it must not end the process.
    this.#done.catch(() => undefined);
  }

  static async start(path: string): Promise<Writer> {
    return new Writer(await open(path, "ax", 0o644));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    try {
      await this.#done;
    } finally {
      await this.#file.close();
    }
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const began = performance.now();
      await this.#file.write(`line ${this.lines}\n`);
      await this.#file.datasync();
      this.lines += 1;
      this.longest = Math.max(this.longest, performance.now() - began);
    }
  }
}

/** How many whole lines the file has. Throws a CheckFailed when they are not 0, 1, 2 ... or fewer than `least`, more than `most`. */
export async function checkLines(path: string, least: number, most: number): Promise<number> {
  const lines = (await readFile(path, "utf8")).split("\n");
  const last = lines.pop();
  const wrong = lines.findIndex((line, index) => line !== `line ${index}`);
  if (wrong >= 0) throw new CheckFailed(`${path}: line ${wrong} is '${(lines[wrong] ?? "").slice(0, 40)}'`);
  if (last !== "" && !`line ${lines.length}`.startsWith(last ?? ""))
    throw new CheckFailed(`${path}: its last line is '${(last ?? "").slice(0, 40)}'`);
  if (lines.length < least || lines.length > most) {
    throw new CheckFailed(
      `${path} has ${lines.length} lines and must have ${least} to ${most}: durable before the snapshot, and written until its end`,
    );
  }
  return lines.length;
}
