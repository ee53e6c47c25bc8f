/** How the quickstart tells what it does: a chapter, then a line for each step with its RPC and its time. */
import { formatDuration } from "../../config/duration.ts";

/** Something is not as it has to be. The message names what differs. */
export class CheckFailed extends Error {
  constructor(message: string) {
    super(message);
    this.name = "CheckFailed";
  }
}

const columns = { what: 26, text: 66 };

export class Story {
  readonly #out: NodeJS.WriteStream;
  readonly #color: boolean;
  #chapters = 0;
  #steps = 0;

  constructor(out: NodeJS.WriteStream = process.stdout) {
    this.#out = out;
    this.#color = out.isTTY === true && !process.env["NO_COLOR"];
  }

  get steps(): number {
    return this.#steps;
  }

  chapter(title: string): void {
    this.#chapters += 1;
    this.#out.write(`\n${this.#paint("1", `${String(this.#chapters).padStart(2)}  ${title}`)}\n`);
  }

  /**
   * Runs one step and prints its line when it is done. `what` is the RPC or the tool. What `work` gives back as `text`
   * is told; throws what it throws, after a line that says so.
   */
  async step<T extends { readonly text: string }>(what: string, work: () => Promise<T> | T): Promise<T> {
    if (this.#color) this.#out.write(this.#paint("2", `    ${what} ...`));
    const began = performance.now();
    try {
      const done = await work();
      this.#steps += 1;
      this.#line(this.#paint("32", "✓"), what, done.text, performance.now() - began);
      return done;
    } catch (error) {
      this.#line(this.#paint("31", "✗"), what, "failed", performance.now() - began);
      throw error;
    }
  }

  /** A remark between the steps. */
  note(text: string): void {
    this.#out.write(`${this.#paint("2", `      ${text}`)}\n`);
  }

  plain(text: string): void {
    this.#out.write(`${text}\n`);
  }

  #line(mark: string, what: string, text: string, milliseconds: number): void {
    const start = this.#color ? "\r\x1b[K" : "";
    const time = this.#paint("2", formatDuration(milliseconds).padStart(9));
    this.#out.write(
      `${start}    ${mark} ${this.#paint("36", what.padEnd(columns.what))} ${text.padEnd(columns.text)} ${time}\n`,
    );
  }

  #paint(code: string, text: string): string {
    return this.#color ? `\x1b[${code}m${text}\x1b[0m` : text;
  }
}
