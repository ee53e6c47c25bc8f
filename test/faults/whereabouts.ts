/** What a process that does not get on is in, by the kernel: for a failure that may not come again. */
import { readdirSync, readFileSync } from "node:fs";

/** A line for each thread that is not just waiting for work, of the process and of those that it started. */
export function whereabouts(pid: number): string {
  return [pid, ...descendants(pid)]
    .flatMap((each) => threadsOf(each).map((thread) => inWords(each, thread)))
    .filter((line) => line !== "")
    .join("\n");
}

/** Children, their children, and so on. */
export function descendants(pid: number): number[] {
  const parents = new Map<number, number[]>();
  for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const parent = Number(/^PPid:\s+(\d+)/m.exec(read(`/proc/${entry}/status`))?.[1]);
    parents.set(parent, [...(parents.get(parent) ?? []), Number(entry)]);
  }
  const found: number[] = [];
  for (let next = parents.get(pid) ?? []; next.length > 0; next = next.flatMap((each) => parents.get(each) ?? [])) {
    found.push(...next);
  }
  return found;
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return []; // gone meanwhile
  }
}

function inWords(pid: number, thread: string): string {
  const folder = `/proc/${pid}/task/${thread}`;
  const stack = read(`${folder}/stack`)
    .split("\n")
    .flatMap((line) => /\] ([\w.]+)/.exec(line)?.[1] ?? [])
    .slice(0, 6);
  const idle = stack.some((step) => /^(do_epoll_wait|ep_poll|futex_wait_queue|futex_wait)$/.test(step));
  const state = /^State:\s+(.*)/m.exec(read(`${folder}/status`))?.[1] ?? "";
  if (state === "" || (idle && state.startsWith("S"))) return "";
  return `${pid}/${thread} ${read(`${folder}/comm`).trim()}: ${state}: ${stack.join(" < ")}`;
}

/** Empty when it is gone meanwhile. */
function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
