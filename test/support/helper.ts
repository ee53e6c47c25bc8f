/** One of the Kubernetes helpers as a process of its own, beside a driver. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { holdfast } from "./driver.ts";
import type { Scratch } from "./scratch.ts";

export interface Helper {
  readonly pid: number;
  log(): string;
  /** Waits, at most 20 s, for a line of the log with this text, the `nth` one; answers it. */
  line(text: string, nth?: number): Promise<Record<string, unknown>>;
  /** Answers the exit code, 128 for a signal; killed after 15 s. */
  stop(signal?: NodeJS.Signals): Promise<number>;
  /** What `path` of its health port says. */
  health(path: string): Promise<{ readonly status: number; readonly text: string }>;
}

/** Ends with the scratch folder. */
export function startHelper(scratch: Scratch, args: readonly string[]): Helper {
  const child = spawn(holdfast, [...args, "--log-format", "json", "--health-port", "127.0.0.1:0"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const gone = () => child.exitCode !== null || child.signalCode !== null;
  const line = async (text: string, nth = 1) => {
    for (const end = Date.now() + 20_000; ; await sleep(10)) {
      const found = log.split("\n").filter((each) => each.includes(text))[nth - 1];
      if (found !== undefined) return JSON.parse(found) as Record<string, unknown>;
      if (gone() || Date.now() > end) throw new Error(`no '${text}' in the log:\n${log}`);
    }
  };
  const stop = async (signal: NodeJS.Signals = "SIGTERM") => {
    if (gone()) return child.exitCode ?? 128;
    const exit = once(child, "exit");
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), 15_000);
    await exit;
    clearTimeout(timer);
    return child.exitCode ?? 128;
  };
  scratch.later(async () => {
    await stop();
  });
  const health = async (path: string) => {
    const { port } = await line("health is served");
    const response = await fetch(`http://127.0.0.1:${String(port)}${path}`);
    return { status: response.status, text: await response.text() };
  };
  return { pid: child.pid ?? 0, log: () => log, line, stop, health };
}
