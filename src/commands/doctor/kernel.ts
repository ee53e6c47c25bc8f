import { readFileSync } from "node:fs";
import { release } from "node:os";
import { error, type Finding, ok, warning } from "./finding.ts";

/** The new mount API and openat2 came with 5.6, mount_setattr with 5.12: mount_setattr(2). statmount with 6.8. */
const least = [5, 12] as const;
const better = [6, 8] as const;

export function kernel(version = release(), fileSystems = readFileSync("/proc/filesystems", "utf8")): Finding[] {
  const findings: Finding[] = [];
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const has = ([x, y]: readonly [number, number]) => major > x || (major === x && minor >= y);
  if (!has(least))
    findings.push(error("kernel", version, `use Linux ${least.join(".")} or newer: mounts that appear whole need it`));
  else if (!has(better))
    findings.push(
      warning("kernel", version, `Linux ${better.join(".")} looks mounts up without reading the whole table`),
    );
  else findings.push(ok("kernel", version));

  const known = new Set(fileSystems.split("\n").map((line) => line.split("\t")[1] ?? ""));
  const missing = ["ext4", "xfs", "btrfs"].filter((name) => !known.has(name));
  findings.push(
    missing.length === 0
      ? ok("file systems", "ext4, xfs and btrfs are in the kernel")
      : warning(
          "file systems",
          `not loaded: ${missing.join(", ")}`,
          `modprobe ${missing.join(" ")}, if volumes shall have them`,
        ),
  );
  return findings;
}
