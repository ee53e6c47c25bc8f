/** What of a scratch folder is left on the host: mounts, loop devices, files. Read from the kernel, not from memory. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The mount points below `folder` or at it, as they were made. */
export function mountsBelow(folder: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => unescaped(line.split(" ")[4] ?? ""))
    .filter((point) => point === folder || point.startsWith(`${folder}/`));
}

/** The loop devices over files below `folder`, as `/dev/loop7`. */
export function loopsBelow(folder: string): { readonly device: string; readonly file: string }[] {
  return readdirSync("/sys/block")
    .filter((name) => name.startsWith("loop"))
    .flatMap((name) => {
      const file = readLine(`/sys/block/${name}/loop/backing_file`);
      return file?.startsWith(`${folder}/`) ? [{ device: `/dev/${name}`, file }] : [];
    });
}

/** The files below `folder`, links and devices too, folders not. Relative and sorted. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** The files of a pool but those that it keeps when it is empty: its marker, and its spare lock files. */
export function filesOfVolumes(pool: string): string[] {
  return filesBelow(pool).filter((file) => file !== "holdfast.json" && !file.startsWith("locks/spare-"));
}

/** mountinfo writes space, tab, newline and backslash in octal: proc_pid_mountinfo(5). */
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

function readLine(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}
