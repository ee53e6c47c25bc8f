/**
 * What is on a device, by its superblocks: our three file systems by one read; for anything else blkid(8) is asked,
 * which knows hundreds of signatures, also at the end of the device. Blank means: no signature of any kind.
 */
import { CommandError, run } from "../command.ts";
import { readHead } from "../device.ts";

/** The primary superblocks of all three lie within. */
export const headBytes = 128 * 1024;
const btrfsOffset = 64 * 1024;

export function readSignatureHead(device: string): Promise<Buffer> {
  return readHead(device, headBytes);
}

/** ext2 and ext3 count as ext4, for that is what mounts them. */
function ours(head: Buffer): string[] {
  const found: string[] = [];
  const at = (offset: number, bytes: string) =>
    head.subarray(offset, offset + bytes.length).equals(Buffer.from(bytes, "latin1"));
  const journalDevice = head.length >= 2048 && (head.readUInt32LE(1024 + 0x60) & 0x8) !== 0;
  if (at(1024 + 0x38, "\x53\xef") && !journalDevice) found.push("ext4");
  if (at(0, "XFSB")) found.push("xfs");
  if (at(btrfsOffset + 64, "_BHRfS_M")) found.push("btrfs");
  return found;
}

/** Absent: blank. `type` is a name as blkid has it (`ext4`, `crypto_LUKS`, `LVM2_member`, `gpt`), or tells of several. */
export async function probe(device: string, signal?: AbortSignal): Promise<{ readonly type: string } | undefined> {
  const found = ours(await readSignatureHead(device));
  if (found.length > 0) return { type: found.join(" and ") };
  try {
    const { stdout } = await run("blkid", ["-p", "-o", "export", device], { signal, timeoutMs: 30_000 });
    const values = new Map(
      stdout.split("\n").map((line) => [line.split("=", 1)[0] ?? "", line.slice(line.indexOf("=") + 1)]),
    );
    return { type: values.get("TYPE") ?? values.get("PTTYPE") ?? "an unknown signature" };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    // blkid(8): 2 nothing found, 8 several signatures that contradict each other.
    if (error.exitCode === 2 && error.stderr.trim() === "") return undefined;
    if (error.exitCode === 8) return { type: "several contradicting signatures" };
    throw error;
  }
}
