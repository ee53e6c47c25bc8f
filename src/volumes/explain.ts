/** What the kernel says about the pool's own files, in the words of the catalogue. */
import { CommandError } from "../host/command.ts";
import { DamagedFilesystem, ForeignContent } from "../host/filesystems/tools.ts";
import { BackingBusy } from "../host/loop.ts";
import type { ProblemName } from "../pools/problem.ts";
import { Problem } from "../pools/problem.ts";

const meanings: Readonly<Record<string, ProblemName>> = {
  ENOSPC: "POOL_FULL",
  EDQUOT: "POOL_FULL",
  EROFS: "POOL_UNAVAILABLE",
  EIO: "POOL_UNAVAILABLE",
  ESTALE: "POOL_UNAVAILABLE",
  ENODEV: "POOL_UNAVAILABLE",
  EPERM: "HOST_DENIED",
  EACCES: "HOST_DENIED",
  EMFILE: "HOST_DENIED",
  ENFILE: "HOST_DENIED",
  ENOMEM: "HOST_DENIED",
};

/** Problems pass; an error number gets its meaning; an abort says whose it was; the rest is INTERNAL. */
export function explain(error: unknown, signal?: AbortSignal): Problem {
  if (error instanceof Problem) return error;
  if (signal?.aborted && (error === signal.reason || isAbort(error))) return cancelled(signal);
  if (error instanceof Error && "code" in error) {
    const name = meanings[String(error.code)];
    if (name) return new Problem(name, error.message, { cause: error });
  }
  if (error instanceof ForeignContent) return new Problem("CONTENT_LOST", error.message, { cause: error });
  if (error instanceof DamagedFilesystem) return new Problem("FILESYSTEM_DAMAGED", error.message, { cause: error });
  if (error instanceof BackingBusy) return new Problem("VOLUME_IN_USE", error.message, { cause: error });
  if (error instanceof CommandError) return new Problem("COMMAND_FAILED", error.message, { cause: error });
  return Problem.from(error);
}

/** The answer for a caller that does not wait any more. */
export function cancelled(signal: AbortSignal, doing?: string): Problem {
  const timedOut = signal.reason instanceof Error && signal.reason.name === "TimeoutError";
  const was = doing === undefined ? "" : `, while ${doing}`;
  return timedOut
    ? new Problem("CALL_TIMED_OUT", `the caller's deadline passed${was}`)
    : new Problem("CALL_CANCELLED", `the caller went away${was}`);
}

function isAbort(error: unknown): boolean {
  return (
    error instanceof Error &&
    (error.name === "AbortError" || error.name === "TimeoutError" || error.name === "CommandError")
  );
}
