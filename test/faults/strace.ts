/**
 * Watches and breaks single system calls of the driver with strace(1). Calls are counted per thread, so the driver runs with
 * one thread for its asynchronous calls; what is done there and on the main thread is told apart by the thread.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** One thread, so that the n-th call of a name is the same call each time. */
export const oneThread = { UV_THREADPOOL_SIZE: "1" } as const;

/**
 * Who makes the call: the thread for asynchronous calls, the main thread, or a program that the driver started. Of a program's
 * step, `group` is struck together with the driver, and `orphan` lives on when the driver is struck.
 */
const roles = ["worker", "main", "child", "group", "orphan"] as const;
type Role = (typeof roles)[number];

/** One system call of one thread: what an injection can strike. */
export interface Point {
  readonly role: Role;
  readonly name: string;
  /** Counted among the thread's calls of this name, from 1. */
  readonly nth: number;
  /** The call as strace writes it, shortened: for people. */
  readonly text: string;
}

export function nameOf({ role, name, nth }: Point): string {
  return `${role}:${name}:${nth}`;
}

export function pointOf(name: string): Point {
  const [who = "", call = "", nth = ""] = name.split(":");
  const role = roles.find((each) => each === who);
  if (!role) throw new Error(`'${name}' is not thread:call:number with one of ${roles.join(", ")}`);
  return { role, name: call, nth: Number(nth), text: "" };
}

/** The calls that change something, or take the way to it. */
const changing =
  "openat,openat2,creat,write,pwrite64,pwritev,pwritev2,writev,fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat," +
  "unlink,unlinkat,rmdir,mkdir,mkdirat,symlink,symlinkat,ioctl,mount,umount2,truncate,ftruncate,fallocate,flock,copy_file_range," +
  "clone,clone3,fork,vfork,open_tree,move_mount,mount_setattr,fsopen,fsconfig,fsmount,fchmod,chmod,fchown,utimensat,setxattr,fsetxattr,mknodat";
/** Those that only ask, and can fail all the same. */
const asking = "read,pread64,getdents64,statx,newfstatat,statfs,fstatfs,readlink,readlinkat,lseek";

/** Every call of interest that `work` makes in the driver and its children. `also`: those that only ask, too. */
export async function watch(pid: number, work: () => Promise<unknown>, also: "asking" | "" = ""): Promise<Point[]> {
  const folder = mkdtempSync(join(tmpdir(), "strace-"));
  try {
    const file = join(folder, "calls");
    const names = also === "asking" ? `${changing},${asking}` : changing;
    const worker = workerOf(pid);
    const tracer = await attach(["-f", "-y", "-s", "40", "-o", file, "-e", `trace=${names}`, "-p", String(pid)]);
    try {
      await work();
      await tracer.linger();
    } finally {
      await tracer.detach();
    }
    return pointsOf(readFileSync(file, "utf8"), pid, worker, also === "asking");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * `work`, during which the thread's n-th call of the name is broken: `signal=SIGKILL` strikes before it, `error=EIO` takes its
 * place. Answers whether it came to that call.
 */
export async function strike(pid: number, point: Point, how: string, work: () => Promise<unknown>): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), "strace-"));
  try {
    const file = join(folder, "calls");
    const one = point.role === "worker" ? workerOf(pid) : pid;
    const filter = ["-e", `trace=${point.name}`, "-e", `inject=${point.name}:${how}:when=${point.nth}`];
    const tracer = await attach([...(point.role === "child" ? ["-f"] : []), "-o", file, ...filter, "-p", String(one)]);
    try {
      await work();
      await tracer.linger();
    } finally {
      await tracer.detach();
    }
    return /\(INJECTED\)|\+\+\+ killed by SIGKILL/.test(readFileSync(file, "utf8"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * `work`, during which the first process that comes to its n-th call of the name is stopped there; then `stopped` is called with
 * it. Answers whether anybody came there.
 */
export async function stopAt(
  pid: number,
  point: Point,
  work: () => Promise<unknown>,
  stopped: (process: number) => Promise<void>,
): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), "strace-"));
  try {
    const file = join(folder, "calls");
    const inject = `inject=${point.name}:signal=SIGSTOP:when=${point.nth}`;
    const tracer = await attach(["-f", "-o", file, "-e", `trace=${point.name}`, "-e", inject, "-p", String(pid)]);
    try {
      let ended = false;
      let struck = false;
      const lingering = work()
        .then(() => tracer.linger())
        .finally(() => {
          ended = true;
        });
      lingering.catch(() => {}); // awaited below
      for (;;) {
        const found = /^(\d+) +--- stopped by SIGSTOP/m.exec(readFileSync(file, "utf8"))?.[1];
        if (found !== undefined) {
          struck = true;
          await stopped(Number(found));
          break;
        }
        if (ended) break;
        await sleep(2);
      }
      await lingering;
      return struck;
    } finally {
      await tracer.detach();
      // Each process stops at its own n-th call, also those that come there after the first or are in it still, and would stay
      // so without its tracer.
      const traced = new Set([...readFileSync(file, "utf8").matchAll(/^\d+/gm)].map(([each]) => Number(each)));
      for (const each of traced) signal(each, "SIGCONT");
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Starts the driver under strace from its first instruction; `start` is given what stands before its command. */
type Launch = (under: readonly string[]) => Promise<unknown>;

/**
 * What a start changes below `folder`: calls of which there are few before the driver's own, so that their number alone says
 * which one it is. That it makes a file shows in what it does with it next.
 */
export async function launchWatched(file: string, folder: string, start: Launch): Promise<Point[]> {
  await start(["strace", "-D", "-q", "-f", "--seccomp-bpf", "-y", "-s", "200", "-o", file, "-e", `trace=${changing}`]);
  const counts = new Map<string, number>();
  const points: Point[] = [];
  for (const line of readFileSync(file, "utf8").split("\n")) {
    const [, thread = "", name = "", rest = ""] = /^(\d+) +(\w+)\((.*)$/.exec(line) ?? [];
    const nth = (counts.get(`${thread} ${name}`) ?? 0) + 1;
    counts.set(`${thread} ${name}`, nth);
    const many = ["openat", "write", "writev", "clone3", "clone", "flock", ""].includes(name);
    if (!many && rest.includes(folder))
      points.push({ role: "child", name, nth, text: `${name}(${rest.slice(0, 160)}` });
  }
  return [...new Map(points.map((point) => [nameOf(point), point])).values()];
}

/** What stands before a start so that it dies at such a step, whichever thread comes to it. */
export function dyingAt(point: Point): readonly string[] {
  const inject = `inject=${point.name}:signal=SIGKILL:when=${point.nth}`;
  // Not with --seccomp-bpf, which is faster: strace 6.1 then strikes at the first call of the name only.
  return ["strace", "-D", "-q", "-f", "-o", "/dev/null", "-e", `trace=${point.name}`, "-e", inject];
}

/** Milliseconds for what the driver still does after its answer: its locks' words, its log, what it closes. */
const afterMs = 20;

interface Tracer {
  /** Goes on for a moment after the answer, or until all that it traces is dead. */
  linger(): Promise<void>;
  /** Lets the driver go; also when it is dead already. */
  detach(): Promise<void>;
}

async function attach(args: readonly string[]): Promise<Tracer> {
  const tracer = spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] });
  const exit = once(tracer, "exit");
  let said = "";
  await new Promise<void>((resolve, reject) => {
    tracer.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (/attached/.test(said)) resolve();
    });
    tracer.on("error", reject);
    exit.then(() => reject(new Error(`strace did not attach: ${said}`)), reject);
  });
  return {
    async linger() {
      await Promise.race([exit, sleep(afterMs)]);
    },
    async detach() {
      if (tracer.exitCode === null && tracer.signalCode === null) tracer.kill("SIGINT");
      // With threads and children that were killed it may wait for ever for one that it missed; its own death lets all go.
      const late = setTimeout(() => tracer.kill("SIGKILL"), 500);
      await exit;
      clearTimeout(late);
    },
  };
}

/** The one thread of Node's pool. */
function workerOf(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  const found = readdirSync(tasks).filter(
    (task) => readFileSync(`${tasks}/${task}/comm`, "utf8").trim() === "libuv-worker",
  );
  if (found.length !== 1) throw new Error(`the driver has ${found.length} threads for its calls instead of one`);
  return Number(found[0]);
}

function pointsOf(log: string, main: number, worker: number, asks: boolean): Point[] {
  const counts = new Map<string, number>();
  const ours = new Set(readThreads(log, main, worker));
  const points: Point[] = [];
  for (const line of log.split("\n")) {
    const [, thread = "", name = "", rest = ""] = /^(\d+) +(\w+)\((.*)$/.exec(line) ?? [];
    if (name === "") continue;
    const role: Role = thread === String(worker) ? "worker" : thread === String(main) ? "main" : "child";
    if (role === "child" && ours.has(thread)) continue;
    const nth = (counts.get(`${thread} ${name}`) ?? 0) + 1;
    counts.set(`${thread} ${name}`, nth);
    if (changes(role, name, rest) || (asks && isAsked(rest)))
      points.push({ role, name, nth, text: `${name}(${rest.slice(0, 160)}` });
  }
  return points;
}

/** Threads of the driver that are neither: V8's helpers, which touch no file. They were there before any child. */
function readThreads(log: string, main: number, worker: number): string[] {
  const all = [...new Set(log.split("\n").flatMap((line) => /^\d+/.exec(line) ?? []))];
  return all.filter((thread) => Number(thread) > main && Number(thread) < worker);
}

/** Files, devices and folders; what comes through sockets and pipes is a talk with others. */
function isAsked(rest: string): boolean {
  return /[<"]\//.test(rest) && !/\/dev\/(null|pts)/.test(rest);
}

function changes(role: Role, name: string, rest: string): boolean {
  // Newer than this strace: statmount and the like, which only ask.
  if (name.startsWith("syscall_")) return false;
  if (name === "openat") return /O_WRONLY|O_RDWR|O_CREAT|O_TRUNC/.test(rest) && !rest.includes("/dev/null");
  // Waking each other, the log, and what a child says: nothing that lasts.
  if (name === "write" || name === "writev") return !/^\d+<(anon_inode|pipe|\/dev\/(null|pts))/.test(rest);
  if (name === "ioctl") return !/TCGETS|FIONBIO|FIOCLEX|FIONCLEX/.test(rest);
  if (role === "main") return name !== "fchmod";
  return true;
}

/** To a process that may have ended meanwhile. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
