/** A program that runs beside a test until its scratch folder ends: its log is kept, and it never outlives the test. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Scratch } from "../scratch.ts";

export interface ServiceOptions {
  /** Names it in messages and names its log, `log/NAME.log` in the scratch folder; two of one name share the log. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** What ends it when the scratch folder does. Absent: SIGKILL. SIGTERM must end it within 15 s, or the test fails. */
  readonly endBy?: "SIGKILL" | "SIGTERM";
  /** The program only waits for a child, which is to get the signals. */
  readonly signalsChild?: boolean;
  /** Started again, after a second, when it ends by itself: as a container that is always restarted. */
  readonly restarts?: boolean;
}

export interface Logged {
  readonly name: string;
  /** All that it wrote so far, over restarts. */
  log(): string;
}

export interface Service extends Logged {
  /** 0 before the first start. */
  readonly pid: number;
  readonly running: boolean;
  /** SIGKILL, and waits until it is gone. May be called twice. */
  kill(): Promise<void>;
  /** SIGTERM; answers its exit code (128 for a signal). Killed, and an error, when it takes longer than 15 s. */
  stop(): Promise<number>;
  /** Starts it again, with the same arguments and `more`. Only after `kill` or `stop`. */
  start(more?: readonly string[]): void;
}

/** Starts it; whether it is ready is for the caller to find out. */
export function startService(scratch: Scratch, options: ServiceOptions): Service {
  const folder = join(scratch.path, "log");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${options.name}.log`);
  let child: ChildProcess | undefined;
  let wanted = false;
  const running = () => child !== undefined && child.exitCode === null && child.signalCode === null;
  const service: Service = {
    name: options.name,
    get pid() {
      return child?.pid ?? 0;
    },
    get running() {
      return running();
    },
    log: () => readFileSync(file, "utf8"),
    async kill() {
      wanted = false;
      if (child === undefined || !running()) return;
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    },
    async stop() {
      wanted = false;
      if (child === undefined || !running()) return child?.exitCode ?? 128;
      const exit = once(child, "exit");
      process.kill(options.signalsChild ? childOf(child) : service.pid, "SIGTERM");
      if ((await Promise.race([exit, sleep(15_000, undefined, { ref: false })])) === undefined) {
        await service.kill();
        throw new Error(`${options.name} did not end within 15 s after SIGTERM; its log:\n${tailOf(service)}`);
      }
      return child.exitCode ?? 128;
    },
    start(more = []) {
      if (running()) throw new Error(`${options.name} still runs`);
      wanted = true;
      const log = openSync(file, "a");
      try {
        // A test that is killed takes it along: prctl(2), PR_SET_PDEATHSIG.
        child = spawn("setpriv", ["--pdeathsig", "KILL", "--", options.program, ...options.args, ...more], {
          stdio: ["ignore", log, log],
          env: { ...process.env, ...options.env },
        });
        child.on("exit", () => {
          if (options.restarts) setTimeout(() => wanted && !running() && service.start(more), 1_000).unref();
        });
        child.on("error", (error) => console.error(`${options.name}: ${error.message}`));
      } finally {
        closeSync(log);
      }
    },
  };
  scratch.later(async () => {
    if (options.endBy === "SIGTERM") await service.stop();
    else await service.kill();
  });
  service.start();
  return service;
}

/** proc_pid_task(5): the first thread's children. */
function childOf({ pid = 0 }: ChildProcess): number {
  const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
  return Number(first || pid);
}

/** The end of its log, for a message. */
export function tailOf(service: Logged, lines = 20): string {
  const last = service.log().trimEnd().split("\n").slice(-lines);
  return last.map((line) => (line.length > 400 ? `${line.slice(0, 400)} ...` : line)).join("\n");
}

export interface Patience {
  /** Absent: 30,000. */
  readonly withinMs?: number;
  /** Absent: 50. */
  readonly everyMs?: number;
  /** What the error shows on top. */
  readonly hint?: () => string | Promise<string>;
}

/** Asks until the answer is not undefined; an error, or undefined, is asked again, and the last error told in the end. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  options: Patience = {},
): Promise<T> {
  const withinMs = options.withinMs ?? 30_000;
  const end = Date.now() + withinMs;
  let last = "";
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
      last = "";
    } catch (error) {
      last = ` (${error instanceof Error ? error.message : String(error)})`;
    }
    if (Date.now() >= end)
      throw new Error(`${what}: not within ${withinMs} ms${last}\n${(await options.hint?.()) ?? ""}`);
    await sleep(options.everyMs ?? 50);
  }
}
