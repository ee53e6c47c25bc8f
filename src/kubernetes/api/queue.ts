/**
 * Work by key: one worker at a time for each key, what is added while it runs is run once more, and what fails is tried
 * again after a wait that doubles, with a random part so that a thousand nodes don't come back together.
 */
import type { Log } from "../../observe/log.ts";
import { isOutage } from "../outcome.ts";

export interface Queue {
  /** Runs `key` as soon as there is a place, or after `delayMs`. May be called again and again. */
  add(key: string, delayMs?: number): void;
  /** Runs and waits that are not over yet. */
  readonly size: number;
  /** Nothing new begins; settles when what runs has ended. */
  stop(): Promise<void>;
}

export interface QueueOptions {
  /** For the log. */
  readonly name: string;
  /** How many keys at once. */
  readonly workers: number;
  /**
   * Does what is to be done for `key` now; `attempt` counts from 1 since the last success. Gives back in how many
   * milliseconds to run it again, or undefined. What it throws is logged and tried again; throw `Later` to wait a time
   * of one's own without an error.
   */
  readonly run: (key: string, attempt: number) => Promise<number | undefined>;
  /** The first wait after a failure, in milliseconds. Absent: 1,000. */
  readonly firstWaitMs?: number;
  /** Absent: 300,000. */
  readonly longestWaitMs?: number;
  /** The longest wait while the driver or the API server is away, in milliseconds. Absent: 15,000. */
  readonly outageWaitMs?: number;
  /** The particulars of a key for the log. Absent: `{ key }`. */
  readonly fields?: (key: string) => object;
}

/** Not a failure: the key is to be run again after `ms` milliseconds; absent: after the usual, growing wait. */
export class Later extends Error {
  override readonly name = "Later";
  readonly ms: number | undefined;
  constructor(message: string, ms?: number) {
    super(message);
    this.ms = ms;
  }
}

interface Entry {
  failures: number;
  /** Waits for a place. */
  queued: boolean;
  running: boolean;
  /** Added while it ran: run it again. */
  again: boolean;
  timer?: NodeJS.Timeout;
  due?: number;
}

export function openQueue(options: QueueOptions, log: Log): Queue {
  const entries = new Map<string, Entry>();
  const waiting: string[] = [];
  const ended = Promise.withResolvers<void>();
  let running = 0;
  let stopped = false;

  const waitAfter = (failures: number, error: unknown) => {
    const longest = Math.min(
      options.longestWaitMs ?? 300_000,
      isOutage(error) ? (options.outageWaitMs ?? 15_000) : Number.POSITIVE_INFINITY,
    );
    const wait = Math.min(longest, (options.firstWaitMs ?? 1000) * 2 ** (failures - 1));
    return wait * (0.75 + Math.random() / 2);
  };

  const unplan = (entry: Entry) => {
    clearTimeout(entry.timer);
    delete entry.timer;
    delete entry.due;
  };

  const plan = (key: string, entry: Entry, delayMs: number) => {
    const due = performance.now() + delayMs;
    if (entry.due !== undefined && entry.due <= due) return;
    unplan(entry);
    entry.due = due;
    entry.timer = setTimeout(() => add(key), Math.min(delayMs, 2 ** 31 - 1));
  };

  const begin = () => {
    while (!stopped && running < options.workers) {
      const key = waiting.shift();
      if (key === undefined) return;
      const entry = entries.get(key);
      if (entry === undefined) continue;
      entry.queued = false;
      entry.running = true;
      running++;
      void work(key, entry);
    }
  };

  const work = async (key: string, entry: Entry) => {
    let next: number | undefined;
    try {
      const wish = await options.run(key, entry.failures + 1);
      entry.failures = 0;
      if (typeof wish === "number") next = wish;
    } catch (error) {
      entry.failures++;
      next = error instanceof Later && error.ms !== undefined ? error.ms : waitAfter(entry.failures, error);
      if (error instanceof Later && error.ms !== undefined) entry.failures = 0;
      const told = { ...(options.fields?.(key) ?? { key }), again: `${Math.round(next / 100) / 10}s` };
      if (stopped) log.debug({ ...told, error: String(error) }, `${options.name}: interrupted`);
      else if (error instanceof Later) log.info(told, `${options.name}: ${error.message}`);
      else log.warn({ ...told, error }, `${options.name}: failed, will be tried again`);
    }
    entry.running = false;
    running--;
    if (stopped) {
      if (running === 0) ended.resolve();
      return;
    }
    if (entry.again) {
      entry.again = false;
      // What failed waits its time even if the object changed a little meanwhile, but not long.
      if (entry.failures > 1 && next !== undefined) plan(key, entry, Math.min(next, 1000));
      else add(key);
    } else if (next !== undefined) plan(key, entry, next);
    else entries.delete(key);
    begin();
  };

  const add = (key: string, delayMs = 0): void => {
    if (stopped) return;
    let entry = entries.get(key);
    if (entry === undefined) {
      entry = { failures: 0, queued: false, running: false, again: false };
      entries.set(key, entry);
    }
    if (delayMs > 0) {
      plan(key, entry, delayMs);
      return;
    }
    unplan(entry);
    if (entry.running) entry.again = true;
    else if (!entry.queued) {
      entry.queued = true;
      waiting.push(key);
      begin();
    }
  };

  return {
    add,
    get size() {
      return entries.size;
    },
    stop() {
      if (!stopped) {
        stopped = true;
        for (const entry of entries.values()) unplan(entry);
        if (running === 0) ended.resolve();
      }
      return ended.promise;
    },
  };
}
