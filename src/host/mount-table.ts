/** /proc/self/mountinfo as the kernel prints it (proc_pid_mountinfo(5)). Milliseconds with thousands of mounts. */
import { readFileSync } from "node:fs";
import { readFile } from "./fs.ts";

export interface MountLine {
  readonly id: number;
  readonly parent: number;
  /** Of the file system, as in st_dev. */
  readonly major: number;
  readonly minor: number;
  /** The part of the file system that is mounted. */
  readonly root: string;
  readonly target: string;
  /** Options of this mount, as `ro,nosuid,relatime`. */
  readonly options: string;
  /** `shared:5`, `master:3`, `unbindable`; empty: private. */
  readonly propagation: readonly string[];
  readonly fsType: string;
  readonly source: string;
  /** Options of the file system. */
  readonly superOptions: string;
}

/** Spaces and the like are octal; the rest is the bytes as they are. */
function decoded(text: string): string {
  if (!/[\\\x80-\xff]/.test(text)) return text;
  return Buffer.from(text.replace(/\\([0-7]{3})/g, octal), "latin1").toString();
}
const octal = (_: string, digits: string) => String.fromCharCode(Number.parseInt(digits, 8));

export function parseMountInfo(text: string): MountLine[] {
  const mounts: MountLine[] = [];
  for (const line of text.split("\n")) {
    const [before = "", after = ""] = line.split(" - ", 2);
    const [id, parent, device, root, target, options, ...propagation] = before.split(" ");
    const [fsType, source, superOptions] = after.split(" ");
    const [major, minor] = (device ?? "").split(":");
    if (!root || !target || !fsType) continue;
    mounts.push({
      id: Number(id),
      parent: Number(parent),
      major: Number(major),
      minor: Number(minor),
      root: decoded(root),
      target: decoded(target),
      options: options ?? "",
      propagation: propagation.filter((p) => p !== ""),
      fsType,
      source: decoded(source ?? ""),
      superOptions: superOptions ?? "",
    });
  }
  return mounts;
}

/** Every mount of this mount namespace that its root can reach, in the kernel's order. */
export async function listMounts(): Promise<MountLine[]> {
  const path = "/proc/self/mountinfo";
  // The kernel has it in memory: a short one is read sooner than another thread is asked for it.
  const text = length < shortTable ? readFileSync(path, "latin1") : await readFile(path, "latin1");
  length = text.length;
  return parseMountInfo(text);
}
/** Characters: some two hundred mounts. */
const shortTable = 32_768;
/** Of the table when it was last read. */
let length = 0;

/** Where this file system is mounted in our namespace; other namespaces may hold it too. */
export async function mountsOf(device: { readonly major: number; readonly minor: number }): Promise<MountLine[]> {
  return (await listMounts()).filter((m) => m.major === device.major && m.minor === device.minor);
}

/** The mount that an absolute path without symlinks lies in: the deepest one, and of stacked ones the last. */
export function mountOf(path: string, mounts: readonly MountLine[]): MountLine | undefined {
  let best: MountLine | undefined;
  for (const m of mounts) {
    const within = m.target === "/" || path === m.target || path.startsWith(`${m.target}/`);
    if (within && m.target.length >= (best?.target.length ?? 0)) best = m;
  }
  return best;
}

const network = /^(?:nfs4?|ceph|cifs|smb3|lustre|9p|fuse\..+)$/;

/**
 * Whether a whole file system is mounted at this absolute path without symlinks, as a disk of its own is. A folder of another file system that was bound
 * there, as containers get theirs, has only a part of one; a network's parts look like that too and are taken for whole.
 */
export function holdsWholeFileSystem(path: string, mounts: readonly MountLine[]): boolean {
  const mount = mountOf(path, mounts);
  return mount !== undefined && mount.target === path && (mount.root === "/" || network.test(mount.fsType));
}

/** How mounts made below `path` spread: the kubelet's folders must be `shared` for pods to see them. */
export async function propagation(path: string): Promise<"shared" | "slave" | "private"> {
  const tags = mountOf(path, await listMounts())?.propagation ?? [];
  if (tags.some((t) => t.startsWith("shared:"))) return "shared";
  return tags.some((t) => t.startsWith("master:")) ? "slave" : "private";
}
