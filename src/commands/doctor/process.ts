import { type CapabilityName, hasCapability } from "../../host/capabilities.ts";
import { error, type Finding, ok, warning } from "./finding.ts";

/** Who runs the driver, and what the kernel lets it do. Assumes that the driver runs as this command does. */
export function powers(status?: string, uid = process.getuid?.() ?? -1): Finding[] {
  const has = (name: CapabilityName) => (status === undefined ? hasCapability(name) : hasCapability(name, status));
  return [
    uid === 0 ? ok("user", "root") : error("user", `user ${uid}`, "run the driver, and this, as root"),
    has("CAP_SYS_ADMIN")
      ? ok("CAP_SYS_ADMIN", "there: mounts and loop devices")
      : error("CAP_SYS_ADMIN", "missing: no mounts, no loop devices", "run the container privileged, or add SYS_ADMIN"),
    has("CAP_SYS_RESOURCE")
      ? ok("CAP_SYS_RESOURCE", "there: ext4 grows while it is mounted")
      : warning(
          "CAP_SYS_RESOURCE",
          "missing: ext4 grows only at its next stage",
          "add SYS_RESOURCE, or use xfs where volumes must grow in use",
        ),
  ];
}
