/**
 * Mount namespaces beside other tests: a new one has a copy of every mount that there is, so it would keep the disks of
 * tests that run at the same time, and their loop devices, for as long as it lives. Where the mounts of the machine are
 * private no propagation takes the copies away.
 */
import { scratchFolders } from "./scratch.ts";

/**
 * A line of shell, the first thing to do in a new mount namespace: lets go of loop devices' mounts and of what is mounted
 * in temporary folders, except in `own`; absent: all of this process's scratch folders. Never fails.
 */
export function letGoOfOthers(own: readonly string[] = scratchFolders()): string {
  const program = `
    function under(path, folder) { return index(path "/", folder == "/" ? folder : folder "/") == 1 }
    BEGIN { count = split(own, folders, " ") }
    $1 ~ "^/dev/loop" || under($2, "/tmp") {
      for (at = 1; at <= count; at++) if (under($2, folders[at]) || under(folders[at], $2)) next
      print $2
    }`;
  const list = `awk -v own="${own.join(" ")}" '${program}' /proc/self/mounts | tac`;
  return `{ ${list} | while read -r each; do umount --lazy "$each" || true; done; } 2>/dev/null || true`;
}
