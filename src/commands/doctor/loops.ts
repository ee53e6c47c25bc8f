import { closeSync, openSync } from "node:fs";
import { freeLoops, listLoops } from "../../host/loop-status.ts";
import { error, type Finding, ok } from "./finding.ts";

export async function loops(control = "/dev/loop-control"): Promise<Finding[]> {
  try {
    closeSync(openSync(control, "r+"));
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const fix =
      code === "ENOENT"
        ? "modprobe loop; in a container, mount the host's /dev"
        : "run as root; in a container, run it privileged or allow the device 10:237";
    return [error("loop devices", `${control} can't be opened: ${code}`, fix)];
  }
  const used = (await listLoops()).length;
  return [ok("loop devices", `${used} in use, ${await freeLoops()} free; the kernel makes more as they are needed`)];
}
