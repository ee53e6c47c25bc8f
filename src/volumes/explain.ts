/** What the kernel says about the pool's own files, in the words of the catalogue. */
import { CommandError } from "../host/command.ts";
import { NotPlainFile } from "../host/files.ts";
import { DamagedFilesystem, ForeignContent } from "../host/filesystems/tools.ts";
import { BackingBusy } from "../host/loop.ts";
import { isSystemError } from "../host/system-error.ts";
import type { ProblemName } from "../pools/problem.ts";
import { Problem } from "../pools/problem.ts";

const meanings: Readonly<Record<string, ProblemName>> = {
  ENOSPC: "POOL_FULL",
  EDQUOT: "POOL_FULL",
  // Paths of requests are checked where they are used, so these are of something strange in the pool.
  ELOOP: "RECORD_DAMAGED",
  EISDIR: "RECORD_DAMAGED",
  ENXIO: "RECORD_DAMAGED",
  EROFS: "POOL_UNAVAILABLE",
  EIO: "POOL_UNAVAILABLE",
  ESTALE: "POOL_UNAVAILABLE",
  ENODEV: "POOL_UNAVAILABLE",
  EPERM: "HOST_DENIED",
  EACCES: "HOST_DENIED",
  EMFILE: "HOST_EXHAUSTED",
  ENFILE: "HOST_EXHAUSTED",
  ENOMEM: "HOST_EXHAUSTED",
  EAGAIN: "HOST_EXHAUSTED",
  ENOLCK: "HOST_EXHAUSTED",
  EBUSY: "VOLUME_IN_USE",
};

/**
 * Problems pass; an error number gets its meaning; an abort says whose it was; the rest is INTERNAL. `subject` is named where
 * the error names no path.
 */
export function explain(error: unknown, signal?: AbortSignal, subject?: string): Problem {
  if (error instanceof Problem) return error;
  if (signal?.aborted && (error === signal.reason || isAbort(error))) return cancelled(signal);
  if (error instanceof Error && "code" in error) {
    const name = meanings[String(error.code)];
    if (name) return new Problem(name, named(error.message, subject), { cause: error });
  }
  if (error instanceof NotPlainFile) return new Problem("RECORD_DAMAGED", error.message, { cause: error });
  if (error instanceof ForeignContent) return new Problem("CONTENT_LOST", error.message, { cause: error });
  if (error instanceof DamagedFilesystem) return new Problem("FILESYSTEM_DAMAGED", error.message, { cause: error });
  if (error instanceof BackingBusy) return new Problem("VOLUME_IN_USE", error.message, { cause: error });
  if (error instanceof CommandError) {
    // One that was never started says nothing about the file system.
    const name = isSystemError(error.cause) ? meanings[error.cause.code] : undefined;
    return new Problem(name ?? "COMMAND_FAILED", error.message, { cause: error });
  }
  return Problem.from(error);
}

function named(message: string, subject: string | undefined): string {
  return subject === undefined || /(^|[\s'])\/\w/.test(message) ? message : `${subject}: ${message}`;
}

/** The answer for a caller that does not wait any more. */
export function cancelled(signal: AbortSignal, doing?: string): Problem {
  const { reason } = signal;
  const timedOut = reason instanceof Problem ? reason.kind === "timedOut" : isTimeout(reason);
  const was = doing === undefined ? "" : `, while ${doing}`;
  return timedOut
    ? new Problem("CALL_TIMED_OUT", `the caller's deadline passed${was}`)
    : new Problem("CALL_CANCELLED", `the caller went away${was}`);
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === "TimeoutError";
}

function isAbort(error: unknown): boolean {
  return (
    error instanceof Error &&
    (error.name === "AbortError" || error.name === "TimeoutError" || error.name === "CommandError")
  );
}
