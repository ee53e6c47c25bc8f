import { constants } from "node:fs";
import { closeFile } from "../../host/files.ts";
import { mountAt } from "../../host/mount-at.ts";
import { openTreeClone } from "../../host/mount-calls.ts";
import { openWithoutSymlinks } from "../../host/paths.ts";
import { isSystemError } from "../../host/system-error.ts";
import { error, type Finding, ok } from "./finding.ts";

/** System calls that the driver can't do without, each tried once: a container may forbid what the kernel has. */
const calls: readonly (readonly [string, () => Promise<void>])[] = [
  ["openat2", async () => closeFile(await openWithoutSymlinks("/", constants.O_DIRECTORY))],
  // A copy of the root's mount that is attached nowhere, and gone with its descriptor.
  ["open_tree", async () => closeFile(await openTreeClone("/"))],
  ["statmount, or the mount table", async () => void (await mountAt("/"))],
];

export async function systemCalls(): Promise<Finding[]> {
  const works: string[] = [];
  const findings: Finding[] = [];
  for (const [name, attempt] of calls) {
    try {
      await attempt();
      works.push(name);
    } catch (cause) {
      const fix = isSystemError(cause, "ENOSYS")
        ? "use Linux 5.12 or newer; in a container, let its seccomp profile pass the call"
        : "run it as root; in a container, privileged or with SYS_ADMIN and a seccomp profile that passes the call";
      findings.push(error("system calls", cause instanceof Error ? cause.message : String(cause), fix));
    }
  }
  return works.length > 0 ? [ok("system calls", `${works.join("; ")}`), ...findings] : findings;
}
