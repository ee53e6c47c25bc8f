import { constants } from "node:os";
import { getSystemErrorMessage } from "node:util";

/** Numbers that Node has no name for, and which file systems answer with. */
const extra: Readonly<Record<number, readonly [string, string]>> = {
  117: ["EUCLEAN", "structure needs cleaning"],
  124: ["EMEDIUMTYPE", "wrong medium type"],
};

const names = new Map<number, string>(Object.entries(constants.errno).map(([name, number]) => [number, name]));
// Two names for one number each: the one that Node's own errors have.
names.set(constants.errno.EAGAIN, "EAGAIN").set(constants.errno.ENOTSUP, "ENOTSUP");

/** `EBUSY` for 16; `E999` for a number without a name. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? extra[errno]?.[0] ?? `E${errno}`;
}

function errnoMeaning(errno: number): string {
  const text = extra[errno]?.[1] ?? getSystemErrorMessage(-errno);
  return text.startsWith("Unknown system error") ? "no description" : text;
}

/**
 * A system call that the kernel refused. The message reads `mount /dev/loop3 on /x: EBUSY (resource busy or locked)`.
 * Errors of node:fs have the same `code`, so `isSystemError` asks both alike.
 */
export class SystemError extends Error {
  /** `EBUSY` ... */
  readonly code: string;
  /** Positive. */
  readonly errno: number;
  readonly syscall: string;
  readonly path: string | undefined;

  /** `detail` is what the kernel said beside the number (the log of a mount), without a full stop. */
  constructor(errno: number, syscall: string, options: { doing?: string; path?: string; detail?: string } = {}) {
    const doing = options.doing ?? (options.path === undefined ? syscall : `${syscall} ${options.path}`);
    const detail = options.detail ? `: ${options.detail}` : "";
    super(`${doing}: ${errnoName(errno)} (${errnoMeaning(errno)})${detail}`);
    this.name = "SystemError";
    this.code = errnoName(errno);
    this.errno = errno;
    this.syscall = syscall;
    this.path = options.path;
  }
}

/** The work, whose error names the path where the system's own does not: that of a call on a descriptor. */
export async function naming<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw named(error, path);
  }
}

/** As `naming`, of a call on this thread. */
export function namingNow<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw named(error, path);
  }
}

function named(error: unknown, path: string): unknown {
  if (!isSystemError(error) || ("path" in error && error.path !== undefined)) return error;
  const { errno, syscall } = error as Error & { readonly errno?: unknown; readonly syscall?: unknown };
  if (typeof errno !== "number" || typeof syscall !== "string") return error;
  // Node's own are negative.
  return new SystemError(Math.abs(errno), syscall, { path });
}

/** Whether `error` came from a system call (ours or Node's) with one of these codes; without codes: with any. */
export function isSystemError(error: unknown, ...codes: string[]): error is Error & { readonly code: string } {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return false;
  if (!("errno" in error)) return false;
  return codes.length === 0 || codes.includes(error.code);
}
