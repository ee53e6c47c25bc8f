import { existsSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { propagation } from "../../host/mount-table.ts";
import { type Finding, ok, warning } from "./finding.ts";

/** Mounts that the driver makes below the kubelet's folder must reach the host and the pods: mount_namespaces(7). */
export async function mountPropagation(folder: string): Promise<Finding[]> {
  const there = existsSync(folder);
  const path = there ? await realpath(folder) : "/";
  const kind = await propagation(path);
  const told = `${there ? folder : `/ (there is no ${folder})`} is ${kind}`;
  return [
    kind === "shared"
      ? ok("mount propagation", told)
      : warning(
          "mount propagation",
          `${told}: containers do not see mounts made there`,
          `mount --make-rshared ${path}; in a pod: mountPropagation: Bidirectional`,
        ),
  ];
}
