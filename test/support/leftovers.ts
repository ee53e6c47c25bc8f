/**
 * What tests must not leave on the machine: mounts, loop devices, processes and files. A trace is looked for by the
 * scratch folder's path, so that others who work on the same machine are not blamed.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

interface LoopDevice {
  /** As `/dev/loop3`. */
  readonly device: string;
  /** The kernel's name of the file behind it; ends in "(deleted)" once that is unlinked. */
  readonly file: string;
}

/** The targets of the mounts at and below `folder`, as mounted last to first; all mounts for "/". */
export function mountsUnder(folder: string): string[] {
  const targets = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => unescapeOctal(line.split(" ")[4] ?? ""));
  return targets.filter((target) => isUnder(target, folder)).reverse();
}

/** The loop devices whose file lies in `folder`, or on a disk whose own file does, mounted or not. */
export function loopDevicesOf(folder: string): LoopDevice[] {
  const listed = spawnSync("losetup", ["--list", "--noheadings", "--raw", "--output", "NAME,BACK-MAJ:MIN,BACK-FILE"]);
  const all = listed.stdout
    .toString()
    .split("\n")
    .map((line) => /^(\S+) (\S+) (.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, device = "", on = "", file = ""]) => ({ device, on, file: file.replaceAll("\\x20", " ") }));
  const ours = new Set<string>();
  for (let size = -1; size !== ours.size; ) {
    size = ours.size;
    for (const { device, on, file } of all) {
      // The path of a file tells nothing once its file system is unmounted; the device below it stays.
      if (isUnder(file, folder) || ours.has(on.replace(/^7:/, "/dev/loop"))) ours.add(device);
    }
  }
  return all.filter(({ device }) => ours.has(device));
}

/** The processes, this one and its parents apart, whose command line or environment names `folder`. */
export function processesOf(folder: string): { readonly pid: number; readonly command: string }[] {
  const own = ancestors();
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && !own.has(Number(entry)))
    .map((pid) => ({ pid: Number(pid), command: readOrEmpty(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim() }))
    .filter(({ pid, command }) => command.includes(folder) || readOrEmpty(`/proc/${pid}/environ`).includes(folder))
    .filter(({ command }) => command !== "");
}

/** One line for each thing that is left in or of `folder`: what it is, in words that help to find its owner. */
export function leftoversOf(folder: string): string[] {
  return [
    ...processesOf(folder).map(({ pid, command }) => `process ${pid} still runs: ${command.slice(0, 200)}`),
    ...mountsUnder(folder)
      .filter((target) => target !== folder)
      .map((target) => `still mounted: ${target}`),
    ...loopDevicesOf(folder).map(({ device, file }) => `loop device ${device} still holds ${file}`),
    ...cgroupsOf(folder).map((path) => `control group left behind: ${path}`),
  ];
}

/** What a control group for `folder` is called; those for folders below begin with it. */
export function cgroupNameOf(folder: string): string {
  return folder.slice(1).replaceAll("/", "-");
}

/** The control groups for `folder` and for folders below it. */
function cgroupsOf(folder: string): string[] {
  const root = "/sys/fs/cgroup";
  const own = cgroupNameOf(folder);
  return listOrEmpty(root).flatMap((hierarchy) =>
    listOrEmpty(`${root}/${hierarchy}`)
      .filter((name) => name === own || name.startsWith(`${own}-`))
      .map((name) => `${root}/${hierarchy}/${name}`),
  );
}

export function isUnder(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

function ancestors(): Set<number> {
  const pids = new Set<number>();
  for (let pid = process.pid; pid > 1 && !pids.has(pid); ) {
    pids.add(pid);
    pid = Number(/^PPid:\s+(\d+)/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? 0);
  }
  return pids;
}

/** mountinfo writes space, tab, newline and backslash as octal (proc_pid_mountinfo(5)). */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

function listOrEmpty(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // a file, or none
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // gone meanwhile, or a kernel thread
  }
}
