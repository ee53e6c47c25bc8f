/** What the processes of a side hold in memory. */
import { readFileSync } from "node:fs";
import { atMost, type Figure } from "../support/figure.ts";

/** Megabytes (10^6), summed over the processes. */
export interface Memory {
  /** Shared pages, as those of a program's own file, count in each process. */
  readonly resident: number;
  /** Private pages that no file backs: what more nodes or helpers cost for sure. */
  readonly anonymous: number;
}

/** proc_pid_smaps_rollup (Linux, Documentation/filesystems/proc.rst). */
export function memoryOf(pids: readonly number[]): Memory {
  const sum = { resident: 0, anonymous: 0 };
  for (const pid of pids) {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
    const mb = (key: string) => (Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) * 1024) / 1e6;
    sum.resident += mb("Rss");
    sum.anonymous += mb("Anonymous");
  }
  return sum;
}

export function memoryFigures(own: Memory, theirs: Memory): Figure[] {
  const limits = { resident: 0.6, anonymous: 1.5 };
  return (["resident", "anonymous"] as const).map((what) => {
    const ratio = own[what] / theirs[what];
    const { text, met } = atMost(ratio, limits[what], "of upstream");
    return {
      name: what === "resident" ? "resident, driver and helpers" : "of that anonymous",
      value: own[what],
      unit: "MB",
      beside: { name: "MB upstream", value: theirs[what], ratio },
      target: { text, met },
    };
  });
}
