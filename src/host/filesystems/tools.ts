/** What the file systems have in common: options, results, and the care before mkfs. */
import { closeSync, constants } from "node:fs";
import { type CommandError, type Output, run } from "../command.ts";
import { isZeros, untilUnused } from "../device.ts";
import { closeFile, openFile } from "../files.ts";
import { syncDescriptor, writeBytes } from "../fs.ts";
import { type DetachedMount, type FilesystemMount, mountDetached } from "../mounts.ts";
import { naming } from "../system-error.ts";
import { headBytes, probe, readSignatureHead } from "./probe.ts";

export interface ToolOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onStart?: ((pid: number) => void) | undefined;
  /** Milliseconds for each program; absent: 2 minutes for changes, 30 minutes for checks and growth. */
  readonly timeoutMs?: number | undefined;
  /** Address space for checkers; absent: no limit. */
  readonly memoryBytes?: number | undefined;
  /** Starts the programs; absent: `run`. */
  readonly runner?: typeof run | undefined;
}

export interface FormatOptions extends ToolOptions {
  /** Further arguments of mkfs, one word each. */
  readonly options?: readonly string[] | undefined;
  readonly label?: string | undefined;
  /** The device, open for as long as the call lasts; absent: it is opened. */
  readonly fd?: number | undefined;
  /**
   * The device reads as zeros everywhere (a new sparse or reserved file), and the caller has just looked that its head
   * does: saves that look, and writing zeros, now and after the mount.
   */
  readonly fresh?: boolean | undefined;
  /** Accepted for clarity: no mkfs here ever discards, so what was reserved stays. */
  readonly keepReservation?: boolean | undefined;
}

export type CheckResult =
  | { readonly state: "clean" }
  | { readonly state: "repaired"; readonly text: string }
  /** What the checker said, its last lines. */
  | { readonly state: "damaged"; readonly text: string };

/** A device that was to be formatted holds something that no mkfs of ours made. */
export class ForeignContent extends Error {
  readonly found: string;
  constructor(device: string, found: string) {
    super(`${device} holds ${found}: it is not formatted`);
    this.name = "ForeignContent";
    this.found = found;
  }
}

/** A check or a change stopped at damage that is not repaired by itself. */
export class DamagedFilesystem extends Error {
  constructor(device: string, text: string) {
    super(`the file system on ${device} is damaged: ${text}`);
    this.name = "DamagedFilesystem";
  }
}

export const patientMs = 30 * 60_000;

/**
 * Runs a tool on the device that is among its arguments. The tool keeps the device open, also where it opens it now and
 * then only (xfs_admin is a script of several programs): were it freed after this process died, its number would go to
 * another volume, and the tool would write there.
 */
export async function runTool(
  program: string,
  args: readonly string[],
  options: ToolOptions,
  timeoutMs?: number,
): Promise<Output> {
  const device = args.find((each) => each.startsWith("/dev/"));
  const keeps = device === undefined ? undefined : await openFile(device, constants.O_RDONLY);
  try {
    return await runKeeping(keeps, program, args, options, timeoutMs);
  } finally {
    if (keeps !== undefined) await closeFile(keeps);
  }
}

/** As `runTool`, of a device that the caller keeps open too, as `fd` if he says so; what the tool wrote is durable on return. */
export async function runDurably(
  program: string,
  args: readonly string[],
  device: string,
  options: FormatOptions,
): Promise<void> {
  const keeps = options.fd ?? (await openFile(device, constants.O_RDONLY));
  try {
    await runKeeping(keeps, program, [...args, device], options, undefined);
    await naming(device, syncDescriptor(keeps));
  } finally {
    if (options.fd === undefined) closeSync(keeps); // not the last one, which would wait for what was written
  }
}

function runKeeping(
  keeps: number | undefined,
  program: string,
  args: readonly string[],
  options: ToolOptions,
  timeoutMs: number | undefined,
): Promise<Output> {
  const { signal, onStart, memoryBytes, runner = run } = options;
  return runner(program, args, { signal, onStart, memoryBytes, keeps, timeoutMs: options.timeoutMs ?? timeoutMs });
}

/** Last words of a checker, without its banner. */
export function words(output: { readonly stdout: string; readonly stderr: string } | CommandError): string {
  const lines = `${output.stdout}\n${output.stderr}`.split(/[\r\n]+/).map((line) => line.trim());
  return lines
    .filter((line) => line !== "" && !/^e2fsck \d|^Phase|^Pass \d/.test(line))
    .slice(-6)
    .join(" | ")
    .slice(-1000);
}

/**
 * Before mkfs: a half-made file system of ours is wiped, so that mkfs need not be told to force anything; other content
 * is refused. Afterwards the device looks blank.
 */
export async function prepareForFormat(device: string, options: Pick<FormatOptions, "fresh">): Promise<void> {
  if (options.fresh) return;
  const head = await readSignatureHead(device);
  if (isZeros(head)) return;
  const found = await probe(device);
  if (found && !["ext4", "xfs", "btrfs"].includes(found.type)) throw new ForeignContent(device, found.type);
  const fd = await openFile(device, constants.O_RDWR | constants.O_EXCL);
  try {
    const { length } = head;
    const { bytesWritten } = await writeBytes(fd, Buffer.alloc(length), 0, length, 0);
    if (bytesWritten !== length) throw new Error(`${device}: could not wipe its first ${headBytes} bytes`);
    await syncDescriptor(fd);
  } finally {
    await closeFile(fd);
  }
}

/** Mounts it where nobody sees it, and waits until the kernel has let go of the device again. */
export async function whileMounted(
  options: FilesystemMount,
  use: (mount: DetachedMount) => Promise<void> = async () => undefined,
): Promise<void> {
  const mount = await mountDetached(options);
  try {
    await use(mount);
  } finally {
    await mount.close();
  }
  if (!(await untilUnused(options.device))) throw new Error(`${options.device} is still in use after it was unmounted`);
}

/** Runs mkfs on a device that is looked at first; durable on return. */
export async function make(
  program: string,
  fixed: readonly string[],
  device: string,
  options: FormatOptions,
): Promise<void> {
  await prepareForFormat(device, options);
  const label = options.label === undefined ? [] : ["-L", options.label];
  await runDurably(program, [...fixed, ...label, ...(options.options ?? [])], device, options);
}
