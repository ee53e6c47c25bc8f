/** The scratch folder: its disk, its pool, and how all of it goes away again, also after a run that was killed. */
import { execFileSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { loopsBelow, mountsBelow } from "./host-view.ts";
import { CheckFailed } from "./story.ts";

/** On a disk, not in memory as /tmp may be. */
export const defaultFolder = "/var/tmp/holdfast-quickstart";

export interface Scratch {
  readonly folder: string;
  readonly pool: string;
  readonly socket: string;
  readonly log: string;
  readonly pidFile: string;
  /** Where a volume is staged, and where it is published. */
  staging(name: string): string;
  target(name: string): string;
}

export function scratchAt(folder: string): Scratch {
  return {
    folder,
    pool: join(folder, "pool"),
    socket: join(folder, "run/csi.sock"),
    log: join(folder, "driver.log"),
    pidFile: join(folder, "driver.pid"),
    staging: (name) => join(folder, "staging", name),
    target: (name) => join(folder, "pods", name, "data"),
  };
}

/** A sparse file with xfs on it, mounted: snapshots and clones are reflinks there, wherever the scratch folder lies. */
export function makeDisk(scratch: Scratch, bytes: number): void {
  for (const path of [scratch.pool, join(scratch.folder, "run")]) mkdirSync(path, { recursive: true, mode: 0o700 });
  const disk = join(scratch.folder, "disk.img");
  const descriptor = openSync(disk, "wx", 0o600);
  ftruncateSync(descriptor, bytes);
  closeSync(descriptor);
  tool("mkfs.xfs", ["-q", disk]);
  tool("mount", ["-t", "xfs", "-o", "loop", disk, scratch.pool]);
}

/** Makes the folder, after an earlier run of it was cleared away. Throws when somebody else made it. */
export function makeFolder(folder: string): { readonly cleared: boolean } {
  const cleared = existsSync(folder);
  if (cleared) {
    const found = lstatSync(folder);
    if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0) {
      throw new CheckFailed(`${folder} is not a folder of this user's; remove it, or take another with --folder`);
    }
    const other = ownerOf(folder);
    if (other !== undefined)
      throw new CheckFailed(
        `another quickstart works in ${folder} (process ${other}); wait for it, or take another --folder`,
      );
    if (!existsSync(join(folder, marker)))
      throw new CheckFailed(`${folder} was not made by quickstart; take another with --folder`);
    clear(folder);
  }
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(folder, marker), String(process.pid), { flag: "wx", mode: 0o600 });
  return { cleared };
}

/** What says that a folder may be removed whole, with the process that made it. */
const marker = ".holdfast-quickstart";

/** The other process that still runs the story in this folder. */
function ownerOf(folder: string): number | undefined {
  const path = join(folder, marker);
  if (!existsSync(path)) return undefined;
  const pid = Number(readFileSync(path, "utf8"));
  return pid > 1 && pid !== process.pid && commandLine(pid).includes("\0quickstart\0") ? pid : undefined;
}

/** Ends the driver, the mounts and the loop devices of the folder, and removes it. What is not there is done already. */
export function clear(folder: string): void {
  endDriver(scratchAt(folder));
  const pool = join(folder, "pool");
  for (const point of mountsBelow(folder).reverse()) if (point !== pool) tool("umount", [point]);
  for (const { device } of loopsBelow(pool)) tool("losetup", ["-d", device]);
  for (const point of mountsBelow(folder).reverse()) tool("umount", [point]);
  const left = mountsBelow(folder);
  if (left.length > 0) throw new CheckFailed(`still mounted: ${left.join(", ")}`);
  rmSync(folder, { recursive: true, force: true });
}

/** Kills the process of the PID file, if it is still the driver of this folder and not another that got its number. */
function endDriver(scratch: Scratch): void {
  if (!existsSync(scratch.pidFile)) return;
  const pid = Number(readFileSync(scratch.pidFile, "utf8"));
  const runs = () => Number.isInteger(pid) && pid > 1 && commandLine(pid).includes(scratch.socket);
  if (!runs()) return;
  process.kill(pid, "SIGKILL");
  for (let waited = 0; holdsFiles(pid) && waited < 5000; waited += 20)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
}

/**
 * Whether a killed process may still have files open, and so keep a mount busy. Its command line is gone before they are
 * closed; what nobody waits for stays as a zombie (state Z, proc_pid_stat(5)), which has none.
 */
export function holdsFiles(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).some((task) => {
      const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, "utf8");
      return !/^ [ZX]/.test(stat.slice(stat.lastIndexOf(")") + 1));
    });
  } catch (error) {
    // A thread that ended meanwhile is looked at again.
    return existsSync(`/proc/${pid}/task`) || !hasEnded(error);
  }
}

function hasEnded(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH");
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

function tool(program: string, args: readonly string[]): void {
  const path = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  try {
    execFileSync(program, args, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, PATH: path, LC_ALL: "C" },
    });
  } catch (error) {
    const told = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : "";
    throw new CheckFailed(`${program} ${args.join(" ")}: ${told || String(error)}`);
  }
}
