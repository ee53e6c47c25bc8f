import { readdirSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** What a process has open, one line each; those without a name by their kind. */
function openOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      return [readlinkSync(`${folder}/${fd}`).replace(/:\[\d+\]$/, "")];
    } catch {
      return []; // closed meanwhile
    }
  });
}

/** Remembers what a process has open, and tells what is open beyond that. */
export class Descriptors {
  readonly #pid: number;
  readonly #before: number;

  constructor(pid: number) {
    this.#pid = pid;
    this.#before = openOf(pid).length;
  }

  /** Fails when there are more for longer than three seconds: what rests open for the next call goes before. */
  async expectNoMore(): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      const now = openOf(this.#pid);
      if (now.length <= this.#before) return;
      if (tries === 60)
        throw new Error(`the driver has ${now.length} descriptors open, ${this.#before} before:\n${now.join("\n")}`);
      await sleep(50);
    }
  }
}
