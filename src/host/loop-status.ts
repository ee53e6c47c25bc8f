/** What loop devices carry, as the kernel knows it. */
import { constants, existsSync, readFileSync } from "node:fs";
import { closeFile, openFile } from "./files.ts";
import { readdir } from "./fs.ts";
import { loopAttribute } from "./loop-attribute.ts";
import { ioctlBuffer } from "./native.ts";
import { inShare } from "./share.ts";
import { isSystemError } from "./system-error.ts";
import { silent, within } from "./within.ts";

const LOOP_GET_STATUS64 = 0x4c05;

export interface LoopStatus {
  readonly number: number;
  /** st_dev and st_ino of the backing file, as `stat` with bigint gives them. */
  readonly dev: bigint;
  readonly ino: bigint;
  readonly autoclear: boolean;
  readonly readonly: boolean;
  readonly directIo: boolean;
  /** `loopName` of the path by which it was attached. */
  readonly name: string;
}

/** Of an open loop device; absent: it carries nothing. */
export async function readLoopStatus(fd: number): Promise<LoopStatus | undefined> {
  const info = Buffer.alloc(232);
  try {
    await ioctlBuffer({ syscall: "ioctl(LOOP_GET_STATUS64)" }, fd, LOOP_GET_STATUS64, info);
  } catch (error) {
    if (isSystemError(error, "ENXIO")) return undefined;
    throw error;
  }
  const flags = info.readUInt32LE(52);
  const name = info.subarray(56, 120);
  return {
    number: info.readUInt32LE(40),
    dev: info.readBigUInt64LE(0),
    ino: info.readBigUInt64LE(8),
    autoclear: (flags & 4) !== 0,
    readonly: (flags & 1) !== 0,
    directIo: (flags & 16) !== 0,
    name: name.subarray(0, Math.max(name.indexOf(0), 0)).toString(),
  };
}

/** Absent: no such device, or it carries nothing. */
export async function loopStatus(number: number): Promise<LoopStatus | undefined> {
  try {
    const fd = await openFile(`/dev/loop${number}`, constants.O_RDONLY);
    try {
      return await readLoopStatus(fd);
    } finally {
      await closeFile(fd);
    }
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENXIO")) return undefined;
    throw error;
  }
}

/** Every loop device that there is, attached or not, in order. */
export async function loopNumbers(): Promise<number[]> {
  const names = await readdir("/sys/block");
  const numbers = names.flatMap((name) => (/^loop\d+$/.test(name) ? [Number(name.slice(4))] : []));
  return numbers.sort((a, b) => a - b);
}

/** /sys/block/loopN/loop is there exactly while a file is attached. sysfs is in memory: no need for another thread. */
export function isAttached(number: number): boolean {
  return existsSync(`/sys/block/loop${number}/loop`);
}

/**
 * The devices that carry something, in one read: the kernel lists those that have a size. One that carries an empty file
 * is not among them; no volume is empty.
 */
function attachedNumbers(): number[] {
  const lines = readFileSync("/proc/partitions", "latin1").split("\n");
  return lines.flatMap((line) => {
    const number = /\sloop(\d+)$/.exec(line)?.[1];
    return number === undefined ? [] : [Number(number)];
  });
}

/** Changes with every attachment, change of file and detachment of the device; absent before Linux 5.15. */
function sequence(number: number): string | undefined {
  return loopAttribute(number, "diskseq");
}

interface LoopFile {
  readonly dev: bigint;
  readonly ino: bigint;
}

const seen = new Map<number, LoopFile & { readonly sequence: string }>();

/**
 * The file that the device carries; absent: none. The device itself is asked once for each of its attachments, which
 * the kernel numbers: opening and closing it costs, and closing a raw one flushes it. `asking`: how.
 */
export async function loopFile(number: number, asking = ask): Promise<LoopFile | undefined> {
  // Before the question: an answer about a later attachment is then kept under a number that never comes back.
  const now = sequence(number);
  const known = seen.get(number);
  return known !== undefined && known.sequence === now ? known : asking(number, now);
}

async function ask(number: number, now: string | undefined): Promise<LoopStatus | undefined> {
  if (!isAttached(number)) return undefined;
  const status = await loopStatus(number);
  if (status && now !== undefined) seen.set(number, { dev: status.dev, ino: status.ino, sequence: now });
  return status;
}

/** Milliseconds that a device has to say what it carries when the file of another is looked for. */
const patience = 500;
/** Questions under way, by the attachment that they are about. */
const asked = new Map<string, { readonly answer: Promise<LoopStatus | undefined>; readonly since: number }>();

/**
 * As `ask`, of a device that may be anybody's. Opening one whose own disk does not answer waits for that, in a thread: each
 * attachment is asked by one call at a time, and counts as another's file when it is silent. That of a pool's file answers
 * while the pool does.
 */
async function askStranger(number: number, now: string | undefined): Promise<LoopStatus | undefined> {
  if (now === undefined) return ask(number, now);
  const attachment = `${number} ${now}`;
  const before = asked.get(attachment);
  if (before !== undefined && performance.now() - before.since > patience) return undefined;
  const answer = before?.answer ?? inShare(undefined, () => ask(number, now));
  if (before === undefined) {
    asked.set(attachment, { answer, since: performance.now() });
    answer.catch(() => undefined).finally(() => asked.delete(attachment));
  }
  const told = await within(patience, answer);
  return told === silent ? undefined : told;
}

/** The same of a device that was given this file a moment ago and is open since: what is asked next need not open it. */
export function noteLoopFile(number: number, file: LoopFile): void {
  const now = sequence(number);
  if (now !== undefined) seen.set(number, { dev: file.dev, ino: file.ino, sequence: now });
}

/** Every loop device of this kernel that carries a file and answers, also of other containers and mount namespaces. */
export async function listLoops(): Promise<LoopStatus[]> {
  const found = await Promise.all(attachedNumbers().map((number) => askStranger(number, sequence(number))));
  return found.filter((status) => status !== undefined);
}

/**
 * Numbers of the devices that carry this file. `file` is a `stat` with bigint. Looks at every
 * attached device: whether one of ours carries it is told faster by `isLocked`.
 */
export async function findLoops(file: LoopFile): Promise<number[]> {
  const numbers = attachedNumbers();
  const files = await Promise.all(numbers.map((number) => loopFile(number, askStranger)));
  return numbers.filter((_, at) => files[at]?.ino === file.ino && files[at]?.dev === file.dev);
}

/** How many devices exist and carry nothing. The kernel makes more on demand, so 0 is no error by itself. */
export async function freeLoops(): Promise<number> {
  return (await loopNumbers()).filter((number) => !isAttached(number)).length;
}
