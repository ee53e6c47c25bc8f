/**
 * Starting a program without a fork: posix_spawn(3) shares this process's memory with the child until its exec, where
 * fork(2) copies the page tables of all of it; and it runs on another thread, for it waits until the exec is done. For a
 * process of 90 MB that is the difference between a few microseconds and some milliseconds in which nobody is answered.
 */
import { closeSync } from "node:fs";
import { Socket } from "node:net";
import { constants } from "node:os";
import { call, native } from "./native.ts";
import { reapOrphans } from "./orphans.ts";
import { inRoom } from "./share.ts";
import { SystemError } from "./system-error.ts";

const cPipe2 = native("pipe2", "int", ["void *", "int"]);
const cWaitpid = native("waitpid", "int", ["int", "void *", "int"]);
const cSpawn = native("posix_spawn", "int", ["void *", "str", "void *", "void *", "str *", "str *"]);
const cActionsInit = native("posix_spawn_file_actions_init", "int", ["void *"]);
const cActionsEnd = native("posix_spawn_file_actions_destroy", "int", ["void *"]);
const cAddDup2 = native("posix_spawn_file_actions_adddup2", "int", ["void *", "int", "int"]);
const cAddOpen = native("posix_spawn_file_actions_addopen", "int", ["void *", "int", "str", "int", "uint"]);
const cAttrInit = native("posix_spawnattr_init", "int", ["void *"]);
const cSetFlags = native("posix_spawnattr_setflags", "int", ["void *", "short"]);
const cSetDefault = native("posix_spawnattr_setsigdefault", "int", ["void *", "void *"]);
const cSetMask = native("posix_spawnattr_setsigmask", "int", ["void *", "void *"]);

const O_CLOEXEC = 0o2000000;
const WNOHANG = 1;
const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = 0x80;
/** Bytes: more than the C libraries need for posix_spawn_file_actions_t, posix_spawnattr_t and sigset_t. */
const opaque = 512;

export interface End {
  /** Absent: a signal ended it. */
  readonly code: number | undefined;
  readonly killedBy: string | undefined;
}

/** A program in a session and process group of its own. */
export interface Child {
  readonly pid: number;
  /** Absent: its standard input is empty. */
  readonly stdin: Socket | undefined;
  readonly stdout: Socket;
  readonly stderr: Socket;
  /** Until then the number is this child's and no other's. Never rejects. */
  readonly ended: Promise<End>;
}

export interface StartOptions {
  /** Also where the program is looked for, by its PATH, unless it has a slash. */
  readonly environment: Readonly<Record<string, string>>;
  /** Whether its standard input is to be written. */
  readonly input: boolean;
  /** A descriptor that it inherits as its fourth. */
  readonly keeps: number | undefined;
}

/** @throws SystemError: ENOENT there is no such program. */
export async function startProgram(program: string, args: readonly string[], options: StartOptions): Promise<Child> {
  const pipes: Pipe[] = [];
  const pipe = () => {
    const made = makePipe();
    pipes.push(made);
    return made;
  };
  try {
    const [stdout, stderr, stdin] = [pipe(), pipe(), options.input ? pipe() : undefined];
    const theirs = { stdin: stdin?.read, stdout: stdout.write, stderr: stderr.write };
    const pid = await spawned(program, args, options, theirs);
    return {
      pid,
      stdin: stdin && new Socket({ fd: stdin.keep("write"), readable: false, writable: true }),
      stdout: new Socket({ fd: stdout.keep("read"), readable: true, writable: false }),
      stderr: new Socket({ fd: stderr.keep("read"), readable: true, writable: false }),
      ended: endOf(pid),
    };
  } finally {
    for (const each of pipes) each.close();
  }
}

type Side = "read" | "write";
type Pipe = Record<Side, number> & { keep(side: Side): number; close(): void };

/** `keep` gives a side away; `close` closes what was not. */
function makePipe(): Pipe {
  const fds = Buffer.alloc(8);
  call({ syscall: "pipe" }, cPipe2, fds, O_CLOEXEC);
  const sides = { read: fds.readInt32LE(0), write: fds.readInt32LE(4) };
  const open = new Set<Side>(["read", "write"]);
  return {
    ...sides,
    keep(side) {
      open.delete(side);
      return sides[side];
    },
    close: () => {
      for (const side of open) closeSync(sides[side]);
    },
  };
}

/** Signals as a program expects them: none blocked, none ignored (Node ignores SIGPIPE). */
const attributes = Buffer.alloc(opaque);
cAttrInit(attributes);
cSetFlags(attributes, SETSID | SETSIGMASK | SETSIGDEF);
cSetMask(attributes, Buffer.alloc(opaque));
cSetDefault(attributes, Buffer.alloc(opaque, 0xff));

async function spawned(
  program: string,
  args: readonly string[],
  options: StartOptions,
  theirs: { readonly stdin: number | undefined; readonly stdout: number; readonly stderr: number },
): Promise<number> {
  const actions = Buffer.alloc(opaque);
  cActionsInit(actions);
  try {
    if (theirs.stdin === undefined) cAddOpen(actions, 0, "/dev/null", 0, 0);
    else cAddDup2(actions, theirs.stdin, 0);
    cAddDup2(actions, theirs.stdout, 1);
    cAddDup2(actions, theirs.stderr, 2);
    // The last one: it may take the place of a descriptor that the others are copies of.
    if (options.keeps !== undefined) cAddDup2(actions, options.keeps, 3);
    const environment = Object.entries(options.environment).map(([name, value]) => `${name}=${value}`);
    let errno = constants.errno.ENOENT;
    for (const path of placesOf(program, options.environment["PATH"] ?? "")) {
      const pid = Buffer.alloc(4);
      errno = await spawnAsync(pid, path, actions, attributes, [program, ...args, null], [...environment, null]);
      if (errno === 0) {
        found.set(program, path);
        return pid.readInt32LE(0);
      }
      if (errno !== constants.errno.ENOENT && errno !== constants.errno.ENOTDIR) break;
    }
    throw new SystemError(errno, "spawn", { path: program });
  } finally {
    cActionsEnd(actions);
  }
}

/** Where a program was when it was started last. */
const found = new Map<string, string>();

function placesOf(program: string, path: string): string[] {
  if (program.includes("/")) return [program];
  const last = found.get(program);
  return [...(last === undefined ? [] : [last]), ...path.split(":").map((folder) => `${folder}/${program}`)];
}

/** Answers with an error number, or 0. */
function spawnAsync(...args: Parameters<typeof cSpawn>): Promise<number> {
  return inRoom(
    "ordinary",
    () =>
      new Promise((resolve, reject) => {
        // The C library reads these while nothing else here refers to them.
        const kept = [...args];
        cSpawn.async(...args, (error, result) => {
          if (error) reject(error);
          else resolve(Number(result));
          kept.length = 0;
        });
      }),
  );
}

const waiting = new Map<number, (end: End) => void>();

/** Our own children only: Node waits for those of node:child_process by their numbers too. */
function endOf(pid: number): Promise<End> {
  if (process.listenerCount("SIGCHLD", reap) === 0) process.on("SIGCHLD", reap);
  return new Promise((resolve) => {
    waiting.set(pid, resolve);
    // It may have ended before anybody listened.
    reap();
  });
}

function reap(): void {
  for (const [pid, resolve] of waiting) {
    const status = Buffer.alloc(4);
    const answer = Number(cWaitpid(pid, status, WNOHANG));
    if (answer === 0) continue;
    waiting.delete(pid);
    resolve(answer === pid ? decode(status.readInt32LE(0)) : { code: undefined, killedBy: "an unknown cause" });
  }
  reapOrphans();
}

/** A status of wait(2). */
function decode(status: number): End {
  const signal = status & 0x7f;
  if (signal === 0) return { code: (status >> 8) & 0xff, killedBy: undefined };
  const name = Object.entries(constants.signals).find(([, number]) => number === signal)?.[0];
  return { code: undefined, killedBy: name ?? `signal ${signal}` };
}
