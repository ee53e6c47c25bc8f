/**
 * The one place where programs are started: no shell, a fixed locale and path, a process group of its own, limits on
 * time, memory and output, and one typed error.
 */
import { limitMemory } from "./native.ts";
import { type Child, type End, startProgram } from "./spawn.ts";
import { isSystemError } from "./system-error.ts";

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
    end: {
      exitCode?: number | undefined;
      killedBy?: string | undefined;
      stdout?: string;
      stderr?: string;
      cause?: unknown;
    } = {},
  ) {
    const said = summary(end.stderr || end.stdout || "");
    super(`${[program, ...args].join(" ")}: ${what}${said === "" ? "" : `: ${said}`}`, { cause: end.cause });
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
  const { promise, resolve, reject } = Promise.withResolvers<Output>();
  let child: Child | undefined;
  let said = () => ({ stdout: "", stderr: "" });
  let reason: CommandFailure = "exit";
  const timers: NodeJS.Timeout[] = [];
  const stop = (why: CommandFailure) => {
    if (reason !== "exit") return;
    reason = why;
    // One that is only being started is ended as soon as it has a number.
    killGroup(child, "SIGTERM");
    timers.push(setTimeout(() => killGroup(child, "SIGKILL"), politeMs));
    timers.push(setTimeout(giveUp, politeMs + reapMs));
  };
  const giveUp = () => {
    finish();
    for (const stream of [child?.stdin, child?.stdout, child?.stderr]) stream?.destroy();
    const what = `process ${child?.pid ?? "that starts"} cannot be killed; it waits in the kernel`;
    reject(new CommandError(program, args, "unkillable", what, said()));
  };
  const abort = () => stop("aborted");
  const finish = () => {
    for (const timer of timers) clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  };
  signal?.addEventListener("abort", abort, { once: true });
  timers.push(setTimeout(() => stop("timeout"), timeoutMs));

  const begun = (it: Child) => {
    child = it;
    if (reason !== "exit") killGroup(it, "SIGKILL");
    const [stdout, stderr] = [collect(it.stdout), collect(it.stderr)];
    said = () => ({ stdout: stdout.text(), stderr: stderr.text() });
    // From outside, for a program that sets the limit and then becomes the other costs a start of its own.
    if (memoryBytes !== undefined) limitMemory(it.pid, memoryBytes);
    options.onStart?.(it.pid);
    it.stdin?.on("error", () => undefined);
    it.stdin?.end(options.input ?? "");
    return Promise.all([it.ended, stdout.closed, stderr.closed]);
  };
  const over = ([{ code, killedBy }]: readonly [End, ...unknown[]]) => {
    finish();
    const end = { ...said(), exitCode: code, killedBy };
    if (code === 0 && reason === "exit") return resolve({ ...end, ms: performance.now() - started });
    reject(new CommandError(program, args, reason, describe(reason, code, killedBy, timeoutMs), end));
  };
  const failed = (error: unknown) => {
    finish();
    const missing = isSystemError(error, "ENOENT", "ENOTDIR");
    const what = missing ? "there is no such program" : error instanceof Error ? error.message : String(error);
    reject(new CommandError(program, args, missing ? "missing" : "exit", what, { cause: error }));
  };
  startProgram(program, args, { environment, input: options.input !== undefined, keeps: options.keeps })
    .then(begun)
    .then(over, failed);
  return promise;
}

function describe(
  reason: CommandFailure,
  code: number | undefined,
  killedBy: string | undefined,
  timeoutMs: number,
): string {
  if (reason === "timeout") return `stopped after ${timeoutMs} ms`;
  if (reason === "aborted") return "stopped: cancelled";
  if (reason === "missing") return "there is no such program";
  return code === undefined ? `killed by ${killedBy}` : `exit code ${code}`;
}

function collect(stream: NodeJS.ReadableStream): { text(): string; readonly closed: Promise<void> } {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    if (size < outputLimit) chunks.push(chunk.subarray(0, outputLimit - size));
    size += chunk.length;
  });
  const closed = new Promise<void>((resolve) => {
    stream.on("close", resolve);
    stream.on("error", () => undefined);
  });
  return { text: () => Buffer.concat(chunks).toString(), closed };
}

function killGroup(child: Child | undefined, signal: NodeJS.Signals): void {
  if (child === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone already.
  }
}
