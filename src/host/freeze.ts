/**
 * Holding a mounted file system still (FIFREEZE). A freeze outlives the process that asked for it, so a helper in a
 * session of its own makes it, and thaws at the end of its pipe (we died, or asked) or of its time. What kills both
 * leaves it frozen: `record` is for start-up to know.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:fs";
import { closeFile, openFile } from "./files.ts";
import { abandonable } from "./lane.ts";
import { mountAt } from "./mount-at.ts";
import { ioctl, syncfs } from "./native.ts";
import { isSystemError } from "./system-error.ts";

const FITHAW = 0xc0045878;

// The long options are those that busybox has too, which is the shell of our image.
// A signal during the freeze, and a pipe that has nobody at its other end, must not end it before it can thaw.
const script = `
trap : TERM INT HUP PIPE
fsfreeze --freeze "$1" || exit 1
trap 'fsfreeze --unfreeze "$1" 2>/dev/null' EXIT
echo frozen
timeout "$2" cat >/dev/null || echo late
`;

export interface FreezeOptions {
  /** Where the file system is mounted. */
  readonly mountPath: string;
  /** The helper thaws after this long, whatever we do. */
  readonly maxMs: number;
  /** Awaited before anything is frozen: durable knowledge that the path may be. */
  readonly record: () => Promise<void>;
  /** Gives up waiting for the freeze; what then still freezes is thawed by the helper at once. */
  readonly signal?: AbortSignal;
}

export interface Frozen {
  /** True: it stood still until this call. False: its time had run out before. May be called twice. */
  thaw(): Promise<boolean>;
  /** Milliseconds from the freeze to the thaw, or to now. */
  frozenMs(): number;
}

/** It could not be frozen: the message has the tool's words, among them those for EBUSY when somebody else froze it already. */
export class NotFrozen extends Error {
  /** The helper is gone, and nothing is frozen nor will be; else it thaws at once what it still freezes. */
  readonly over: boolean;
  constructor(what: string, over: boolean) {
    super(what);
    this.name = "NotFrozen";
    this.over = over;
  }
}

/**
 * Writes out what is dirty, so that the freeze is short, then freezes. When it throws, nothing stays frozen. @throws
 * NotFrozen, SystemError
 */
export async function freeze(options: FreezeOptions): Promise<Frozen> {
  const { mountPath, maxMs, signal } = options;
  const fd = await openFile(mountPath, constants.O_RDONLY | constants.O_DIRECTORY);
  let syncing: Promise<unknown> = Promise.resolve();
  try {
    syncing = syncfs(fd, mountPath, "mayHang", signal);
    await abandonable(syncing, signal);
    await options.record();
    const helper = await startHelper(mountPath, maxMs, signal);
    return held(fd, mountPath, helper);
  } catch (error) {
    // A sync that was given up still needs the descriptor.
    const close = () => void closeFile(fd).catch(() => undefined);
    syncing.then(close, close);
    throw error;
  }
}

interface Helper {
  readonly child: ChildProcess;
  readonly since: number;
  readonly ended: Promise<void>;
  said(): string;
}

function startHelper(mountPath: string, maxMs: number, signal: AbortSignal | undefined): Promise<Helper> {
  return new Promise((resolve, reject) => {
    const child = spawn("/bin/sh", ["-c", script, "holdfast-freeze", mountPath, String(maxMs / 1000)], {
      cwd: "/",
      detached: true,
      env: { LC_ALL: "C", PATH: "/usr/sbin:/sbin:/usr/bin:/bin" },
      stdio: ["pipe", "pipe", "pipe"],
    });
    let out = "";
    let err = "";
    const giveUp = (why: unknown) => {
      clearTimeout(limit);
      signal?.removeEventListener("abort", abort);
      child.stdin.destroy();
      child.unref();
      reject(why);
    };
    const abort = () => giveUp(signal?.reason);
    const limit = setTimeout(
      () => giveUp(new NotFrozen(`${mountPath} did not freeze within ${maxMs} ms`, false)),
      maxMs,
    );
    signal?.addEventListener("abort", abort, { once: true });
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    child.once("error", giveUp);
    child.stdin.on("error", () => undefined);
    child.stderr.on("data", (chunk) => {
      err += chunk;
    });
    child.once("close", (code) =>
      giveUp(new NotFrozen(`cannot freeze ${mountPath}: ${err.trim() || `exit code ${code}`}`, true)),
    );
    child.stdout.on("data", (chunk) => {
      out += chunk;
      if (!out.startsWith("frozen")) return;
      clearTimeout(limit);
      signal?.removeEventListener("abort", abort);
      resolve({ child, since: performance.now(), ended, said: () => out });
    });
  });
}

function held(fd: number, mountPath: string, helper: Helper): Frozen {
  let until: number | undefined;
  let result: Promise<boolean> | undefined;
  const end = async () => {
    try {
      // At once and by ourselves: the helper, dead or alive, finds it done.
      const stood = await fithaw(fd, mountPath);
      until = performance.now();
      helper.child.stdin?.end();
      // Before anybody may freeze again: a late helper would thaw that freeze.
      await helper.ended;
      return stood && !helper.said().includes("late");
    } finally {
      helper.child.stdin?.end();
      await closeFile(fd);
    }
  };
  return {
    thaw: () => {
      result ??= end();
      return result;
    },
    frozenMs: () => (until ?? performance.now()) - helper.since,
  };
}

async function fithaw(fd: number, path: string): Promise<boolean> {
  try {
    await ioctl({ syscall: "ioctl(FITHAW)", path }, fd, FITHAW, 0, "mayHang");
    return true;
  } catch (error) {
    if (isSystemError(error, "EINVAL")) return false;
    throw error;
  }
}

/** Thaws what is mounted at the path. False: it was not frozen, or nothing is mounted there any more. */
export async function thaw(mountPath: string): Promise<boolean> {
  try {
    if (!(await mountAt(mountPath))) return false;
    const fd = await openFile(mountPath, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      return await fithaw(fd, mountPath);
    } finally {
      await closeFile(fd);
    }
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}
