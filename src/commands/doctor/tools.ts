import { CommandError, run } from "../../host/command.ts";
import { error, type Finding, ok, warning } from "./finding.ts";

interface Tool {
  readonly program: string;
  readonly version: readonly string[];
  readonly package: string;
  /** What can't be done without it; absent: the driver can't work at all. */
  readonly only?: string;
}

const tools: readonly Tool[] = [
  { program: "blkid", version: ["--version"], package: "util-linux" },
  { program: "mkfs.ext4", version: ["-V"], package: "e2fsprogs" },
  { program: "e2fsck", version: ["-V"], package: "e2fsprogs" },
  { program: "resize2fs", version: ["-h"], package: "e2fsprogs" },
  { program: "tune2fs", version: ["-V"], package: "e2fsprogs" },
  { program: "mkfs.xfs", version: ["-V"], package: "xfsprogs", only: "xfs" },
  { program: "xfs_repair", version: ["-V"], package: "xfsprogs", only: "xfs" },
  { program: "xfs_admin", version: ["-V"], package: "xfsprogs", only: "xfs" },
  { program: "mkfs.btrfs", version: ["--version"], package: "btrfs-progs", only: "btrfs" },
  { program: "btrfs", version: ["--version"], package: "btrfs-progs", only: "btrfs" },
  { program: "btrfstune", version: ["--version"], package: "btrfs-progs", only: "btrfs" },
];

/** The programs that the driver calls, and their versions. */
export async function programs(): Promise<Finding[]> {
  const findings: Finding[] = [];
  const versions = new Map<string, { found: string[]; version: string }>();
  for (const tool of tools) {
    const version = await versionOf(tool);
    if (version === undefined) {
      const fix = `install ${tool.package} (Debian: apt-get install ${tool.package})`;
      const told = `missing${tool.only === undefined ? "" : `: no ${tool.only} volumes`}`;
      findings.push(tool.only === undefined ? error(tool.program, told, fix) : warning(tool.program, told, fix));
      continue;
    }
    const entry = versions.get(tool.package) ?? { found: [], version };
    entry.found.push(tool.program);
    versions.set(tool.package, entry);
  }
  const found = [...versions].map(([name, { found, version }]) => ok(name, `${version}: ${found.join(", ")}`));
  return [...found, ...findings];
}

/** Undefined: there is no such program. Some print their version and then fail, which is fine here. */
async function versionOf(tool: Tool): Promise<string | undefined> {
  let text: string;
  try {
    const { stdout, stderr } = await run(tool.program, tool.version, { timeoutMs: 5000 });
    text = stdout + stderr;
  } catch (cause) {
    if (!(cause instanceof CommandError) || cause.reason === "missing") return undefined;
    text = cause.stdout + cause.stderr;
  }
  return /\d+\.\d+(?:\.\d+)?/.exec(text)?.[0] ?? "version unknown";
}
