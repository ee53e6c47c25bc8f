/** What a process has of the machine, and whether it grows. */
import { readdirSync, readFileSync } from "node:fs";

export interface Vitals {
  /** Seconds since the first look. */
  readonly at: number;
  readonly descriptors: number;
  readonly threads: number;
  /** MiB that are its own: the anonymous part of its resident memory. */
  readonly memory: number;
}

export function look(pid: number, began: number): Vitals {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return {
    at: (performance.now() - began) / 1000,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: readdirSync(`/proc/${pid}/task`).length,
    memory: Number(/^Anonymous: +(\d+) kB$/m.exec(rollup)?.[1]) / 1024,
  };
}

/** What grows by the hour, by the line that lies nearest to all looks (least squares). */
export function growthAnHour(looks: readonly Vitals[], of: (one: Vitals) => number): number {
  const mean = (value: (one: Vitals) => number) => looks.reduce((sum, one) => sum + value(one), 0) / looks.length;
  const at = mean((one) => one.at);
  const level = mean(of);
  const spread = looks.reduce((sum, one) => sum + (one.at - at) ** 2, 0);
  const together = looks.reduce((sum, one) => sum + (one.at - at) * (of(one) - level), 0);
  return spread === 0 ? 0 : (together / spread) * 3600;
}
