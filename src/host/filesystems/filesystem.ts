import { run } from "../command.ts";

interface O {
  signal?: AbortSignal;
  onStart?: (pid: number) => void;
  options?: readonly string[];
  keepReservation?: boolean;
}
export interface Filesystem {
  name: string;
  minimumBytes: number;
  growsMounted: boolean;
  mountFlags: readonly string[];
  format(device: string, o: O): Promise<void>;
  needsCheck(device: string): Promise<boolean>;
  check(
    device: string,
    o: O & { repair: "preen" | "full" | "none" },
  ): Promise<{ state: "clean" | "repaired" | "damaged"; text: string }>;
  newUuid(device: string, o: O): Promise<void>;
  growOffline(device: string, o: O): Promise<void>;
  growOnline(mount: string, device: string): Promise<void>;
}
const ext4: Filesystem = {
  name: "ext4",
  minimumBytes: 4194304,
  growsMounted: false,
  mountFlags: ["discard"],
  format: async (d, o) =>
    void (await run("mkfs.ext4", ["-q", "-F", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1", d], {
      signal: o.signal,
    })),
  needsCheck: async () => false,
  check: async () => ({ state: "clean", text: "" }),
  newUuid: async (d) => {
    await run("e2fsck", ["-fy", d]).catch(() => undefined);
    await run("tune2fs", ["-U", "random", d]);
  },
  growOffline: async (d) => {
    await run("e2fsck", ["-fy", d]).catch(() => undefined);
    await run("resize2fs", [d]);
  },
  growOnline: async (_m, d) => void (await run("resize2fs", [d])),
};
export function filesystem(name: string): Filesystem | undefined {
  return name === "ext4" ? ext4 : undefined;
}
export async function probe(device: string): Promise<{ type: string } | undefined> {
  try {
    const { stdout } = await run("blkid", ["-p", "-o", "value", "-s", "TYPE", device]);
    return { type: stdout.trim() };
  } catch {
    return undefined;
  }
}
