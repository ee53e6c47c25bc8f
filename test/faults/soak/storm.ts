import { setTimeout as sleep } from "node:timers/promises";
import type { Driver } from "../../support/driver.ts";
import type { Storm } from "../model/player.ts";

/** Milliseconds between a start and the next kill: some come while the driver still tidies up after the last. */
const shortestLife = 50;
const longestLife = 2_500;

/** SIGKILL at random moments, and a new driver at once. */
export class Killer implements Storm {
  readonly #driver: Driver;
  #up: Promise<void> = Promise.resolve();
  kills = 0;
  since = performance.now();

  constructor(driver: Driver) {
    this.#driver = driver;
  }

  up(): Promise<void> {
    return this.#up;
  }

  /** Until `end`, as performance.now() has it, or `over`. */
  async kill(end: number, over: () => boolean): Promise<void> {
    while (performance.now() < end && !over()) {
      await sleep(shortestLife + Math.random() * (longestLife - shortestLife));
      this.kills += 1;
      this.#up = this.#crash();
      await this.#up;
    }
  }

  async #crash(): Promise<void> {
    await this.#driver.crash();
    this.since = performance.now();
  }
}
