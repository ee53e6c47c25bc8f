/**
 * The one place where programs are started: no shell, a fixed locale and path, a process group of its own, limits on
 * time, memory and output, and one typed error.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { limitMemory } from "./native.ts";

export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  /** Default 120,000. */
  readonly timeoutMs?: number | undefined;
  /** Address space of the program and its children, in force an instant after the start (prlimit(2)). Absent: no limit. */
  readonly memoryBytes?: number | undefined;
  /** For its standard input, which is empty otherwise. */
  readonly input?: string | undefined;
  readonly onStart?: ((pid: number) => void) | undefined;
  /**
   * A descriptor that the program inherits, so that it stays open for as long as the program or a child of it lives,
   * whatever became of this process.
   */
  readonly keeps?: number | undefined;
}

export interface Output {
  /** Each stream is cut after 1 MiB. */
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

export type CommandFailure = "exit" | "timeout" | "aborted" | "missing" | "unkillable";

/** A program that did not end with 0. The message is one line with what it said at last. */
export class CommandError extends Error {
  readonly program: string;
  readonly args: readonly string[];
  readonly reason: CommandFailure;
  /** Absent when it did not exit by itself. */
  readonly exitCode: number | undefined;
  readonly killedBy: string | undefined;
  readonly stdout: string;
  readonly stderr: string;

  constructor(
    program: string,
    args: readonly string[],
    reason: CommandFailure,
    what: string,
    end: { exitCode?: number | undefined; killedBy?: string | undefined; stdout?: string; stderr?: string } = {},
  ) {
    const said = summary(end.stderr || end.stdout || "");
    super(`${[program, ...args].join(" ")}: ${what}${said === "" ? "" : `: ${said}`}`);
    this.name = "CommandError";
    this.program = program;
    this.args = args;
    this.reason = reason;
    this.exitCode = end.exitCode;
    this.killedBy = end.killedBy;
    this.stdout = end.stdout ?? "";
    this.stderr = end.stderr ?? "";
  }
}

function summary(text: string): string {
  const lines = text.split(/[\r\n]+/).filter((line) => line.trim() !== "");
  // Tools say what is wrong first, or last after a lot of progress.
  const chosen = lines.length <= 4 ? lines : [lines[0], "...", ...lines.slice(-2)];
  return chosen.join(" | ").slice(0, 600);
}

const environment = { LC_ALL: "C", PATH: "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin" };
const outputLimit = 1024 * 1024;
const defaultTimeoutMs = 120_000;
const politeMs = 1000;
/** A process in uninterruptible sleep cannot be reaped: it is left alone after this long. */
const reapMs = 2000;

/**
 * Runs a program to its end. @throws CommandError: `exit` it failed, `timeout`, `aborted` by the signal (its whole group
 * was killed), `missing` there is no such program, `unkillable` it did not go after SIGKILL and may still work.
 */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Output> {
  const { signal, timeoutMs = defaultTimeoutMs, memoryBytes } = options;
  if (signal?.aborted) return Promise.reject(new CommandError(program, args, "aborted", "not started: cancelled"));
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: environment,
      detached: true,
      stdio: [
        options.input === undefined ? "ignore" : "pipe",
        "pipe",
        "pipe",
        ...(options.keeps === undefined ? [] : [options.keeps]),
      ],
    });
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    let reason: CommandFailure = "exit";
    const timers: NodeJS.Timeout[] = [];
    const said = () => ({ stdout: stdout(), stderr: stderr() });
    const finish = () => {
      for (const timer of timers) clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    };
    const stop = (why: CommandFailure) => {
      if (reason !== "exit") return;
      reason = why;
      killGroup(child, "SIGTERM");
      timers.push(setTimeout(() => killGroup(child, "SIGKILL"), politeMs));
      timers.push(
        setTimeout(() => {
          finish();
          child.unref();
          child.stdout?.destroy();
          child.stderr?.destroy();
          const what = `process ${child.pid} cannot be killed; it waits in the kernel`;
          reject(new CommandError(program, args, "unkillable", what, said()));
        }, politeMs + reapMs),
      );
    };
    const abort = () => stop("aborted");
    signal?.addEventListener("abort", abort, { once: true });
    timers.push(setTimeout(() => stop("timeout"), timeoutMs));

    child.on("error", (error: NodeJS.ErrnoException) => {
      finish();
      const missing = error.code === "ENOENT";
      const what = missing ? "there is no such program" : error.message;
      reject(new CommandError(program, args, missing ? "missing" : "exit", what));
    });
    if (child.pid !== undefined) {
      // From outside, for a program that sets the limit and then becomes the other costs a start of its own.
      if (memoryBytes !== undefined) limitMemory(child.pid, memoryBytes);
      options.onStart?.(child.pid);
    }
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input);
    child.on("close", (code, killedBy) => {
      finish();
      const end = { ...said(), exitCode: code ?? undefined, killedBy: killedBy ?? undefined };
      if (code === 0 && reason === "exit") return resolve({ ...end, ms: performance.now() - started });
      reject(new CommandError(program, args, reason, describe(reason, code, killedBy, timeoutMs), end));
    });
  });
}

function describe(reason: CommandFailure, code: number | null, killedBy: string | null, timeoutMs: number): string {
  if (reason === "timeout") return `stopped after ${timeoutMs} ms`;
  if (reason === "aborted") return "stopped: cancelled";
  if (reason === "missing") return "there is no such program";
  return code === null ? `killed by ${killedBy}` : `exit code ${code}`;
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on("data", (chunk: Buffer) => {
    if (size < outputLimit) chunks.push(chunk.subarray(0, outputLimit - size));
    size += chunk.length;
  });
  return () => Buffer.concat(chunks).toString();
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone already.
  }
}
