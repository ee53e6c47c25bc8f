/**
 * What is on a volume's device: made once, checked before it is mounted, grown while nobody sees it. The latch decides
 * what may be done; the device is looked at before every mount, and what does not agree is data loss, never mkfs.
 */
import { setTimeout as delay } from "node:timers/promises";
import { CommandError } from "../host/command.ts";
import { isAllZero } from "../host/device.ts";
import { type Filesystem, filesystem, probe } from "../host/filesystems/filesystem.ts";
import { headBytes } from "../host/filesystems/probe.ts";
import { deviceSize } from "../host/stats.ts";
import type { Latch, Opened, Pool, Progress, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import type { Operation } from "./ledger.ts";

/** Address space of one tool, in bytes: a check that wants more fails by itself and does not take the driver's memory with it. */
const toolMemory = 2 * 1024 ** 3;

/** How often, and after how many milliseconds each time, a device is tried again that another claimed for a moment. */
const claimTries = 20;
const claimedForMs = 50;

type Device = Omit<Extract<Opened, { readonly gives: "device" }>, "release">;

/** Throws FILESYSTEM_UNSUPPORTED. */
export function filesystemFor(name: string): Filesystem {
  const found = filesystem(name);
  if (found) return found;
  throw new Problem("FILESYSTEM_UNSUPPORTED", `there is no file system '${name}' here: known are ext4, xfs and btrfs`);
}

/** What is on a device, and the latch that says so. */
interface Content {
  readonly fs: Filesystem;
  readonly latch: Latch;
}

/** Makes the device mountable as `asked`, and says as what. Empty `asked`: whatever the volume has or was made for. */
export async function prepare(
  pool: Pool,
  volume: Volume,
  opened: Device,
  asked: string,
  operation: Operation,
): Promise<Content> {
  const latch = await pool.latch(volume);
  switch (latch.state) {
    case "blank":
    case "formatting":
      return format(pool, volume, opened, asked || volume.fsType || "ext4", latch.state === "blank", operation);
    case "used":
      return { fs: await identify(volume, opened.device, asked, operation), latch };
    case "formatted":
    case "resizing": {
      const fs = await confirm(volume, opened.device, latch.fsType, asked);
      await repair(volume, fs, opened.device, latch, operation);
      if (latch.state === "formatted") return { fs, latch };
      return { fs, latch: await growInPlace(pool, volume, fs, opened.device, operation) };
    }
  }
}

/**
 * Whether a tool found its device claimed by another. The device is ours alone, yet on a machine where many set up and free loop
 * devices at once it was seen: for a moment the number that we just got still has the exclusive holder that it had before.
 */
function isClaimed(error: unknown): boolean {
  return error instanceof CommandError && /in use by the system|Device or resource busy/.test(error.message);
}

async function format(
  pool: Pool,
  volume: Volume,
  opened: Device,
  fsType: string,
  fresh: boolean,
  operation: Operation,
): Promise<Content> {
  const fs = filesystemFor(fsType);
  if (volume.size < fs.minimumBytes) {
    throw new Problem(
      "SIZE_OUT_OF_RANGE",
      `${fsType} needs at least ${fs.minimumBytes} bytes and the volume has ${volume.size}`,
    );
  }
  // What each latch says is written aside while the device is looked at, and while it is formatted; it counts when it is set.
  await latched(pool, volume, { state: "formatting", fsType }, async () => {
    // A latch that was lost reads as blank: what the device holds decides whether it is.
    if (!fresh || (await isAllZero(opened, headBytes))) return;
    const found = await probe(opened.device);
    throw new Problem(
      "CONTENT_LOST",
      `no record says that the volume '${volume.name}' was ever used, and its device holds ${found?.type ?? "data"}: it is not formatted`,
    );
  });
  operation.step(`making the ${fsType} file system`);
  const make = (untouched: boolean) =>
    fs.format(opened.device, {
      options: volume.mkfsOptions,
      fd: opened.fd,
      memoryBytes: toolMemory,
      // Only what was never begun is all zeros: then the tables need not be zeroed, now or after the mount.
      fresh: untouched,
      keepReservation: !opened.discards,
      signal: operation.signal,
      onStart: (pid) => operation.child(pid, `mkfs.${fsType}`),
    });
  const latch: Latch = { state: "formatted", fsType, size: volume.size };
  await latched(pool, volume, latch, async () => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await make(fresh && tries === 1);
      } catch (error) {
        if (!isClaimed(error) || tries === claimTries) throw error;
        await delay(claimedForMs, undefined, { signal: operation.signal });
      }
    }
  });
  return { fs, latch };
}

/** Sets the latch when `work` is done, and not where it fails. */
async function latched(pool: Pool, volume: Volume, latch: Latch, work: () => Promise<void>): Promise<void> {
  const prepared = pool.prepareLatch?.(volume, latch);
  try {
    await work();
  } catch (error) {
    await prepared?.drop();
    throw error;
  }
  await (prepared ? prepared.set() : pool.setLatch(volume, latch));
}

/**
 * From here on the user of a raw volume may write what nobody else can tell from a blank device, or from a damaged one:
 * neither it nor a copy of it is formatted, checked or grown any more. Durable before the device is given away.
 */
export async function markUsed(pool: Pool, volume: Volume): Promise<void> {
  if ((await pool.latch(volume)).state !== "used") await pool.setLatch(volume, { state: "used" });
}

/** What a formatted volume must show. */
async function confirm(volume: Volume, device: string, fsType: string, asked: string): Promise<Filesystem> {
  const found = await probe(device);
  if (!found) {
    throw new Problem(
      "CONTENT_LOST",
      `the volume '${volume.name}' was formatted with ${fsType} and its device ${device} is blank`,
    );
  }
  if (found.type !== fsType) {
    throw new Problem(
      "CONTENT_LOST",
      `the volume '${volume.name}' was formatted with ${fsType} and its device ${device} holds ${found.type}`,
    );
  }
  if (asked !== "" && asked !== fsType) {
    throw new Problem(
      "FILESYSTEM_UNSUPPORTED",
      `the volume '${volume.name}' holds ${fsType} and ${asked} was asked for`,
    );
  }
  return filesystemFor(fsType);
}

/** A raw volume that its user made a file system on, or that was restored from one. Never formatted. */
async function identify(volume: Volume, device: string, asked: string, operation: Operation): Promise<Filesystem> {
  operation.step("looking at the device");
  const found = await probe(device);
  if (!found || (asked !== "" && asked !== found.type)) {
    const holds = found ? found.type : "no file system";
    throw new Problem(
      "FILESYSTEM_UNSUPPORTED",
      `the volume '${volume.name}' was a raw one and holds ${holds}; it is never formatted`,
    );
  }
  return filesystemFor(found.type);
}

async function repair(
  volume: Volume,
  fs: Filesystem,
  device: string,
  latch: Latch,
  operation: Operation,
): Promise<void> {
  const interrupted = latch.state === "resizing";
  if (!interrupted && !(await fs.needsCheck(device))) return;
  operation.step(`checking the ${fs.name} file system`);
  const result = await operation.lasting(() =>
    fs.check(device, {
      repair: interrupted ? "full" : "preen",
      memoryBytes: toolMemory,
      signal: operation.signal,
      onStart: (pid) => operation.child(pid, `fsck.${fs.name}`),
    }),
  );
  if (result.state === "damaged") {
    throw new Problem(
      "FILESYSTEM_DAMAGED",
      `the ${fs.name} file system of the volume '${volume.name}' is damaged: ${result.text}`,
    );
  }
}

/**
 * Grows the file system of a volume that was enlarged, before it is opened for use: on a copy that then takes its place, or
 * behind the latch where the pool can't copy in constant time. xfs and btrfs grow when mounted, in transactions of their own.
 */
export async function growBefore(pool: Pool, volume: Volume, latch: Latch, operation: Operation): Promise<void> {
  if (latch.state !== "formatted" || latch.size >= volume.size) return;
  const fs = filesystemFor(latch.fsType);
  if (fs.growsMounted) return;
  operation.step(`growing the ${fs.name} file system on a copy`);
  const grown = await operation.lasting(() =>
    pool.rework(
      volume,
      async (device) => {
        await confirm(volume, device, latch.fsType, "");
        await fs.growOffline(device, {
          memoryBytes: toolMemory,
          signal: operation.signal,
          onStart: (pid) => operation.child(pid, `resize of ${fs.name}`),
        });
      },
      operation,
    ),
  );
  // In place: announced by the latch, done by `prepare` on the opened device.
  await pool.setLatch(volume, {
    ...latch,
    state: grown ? "formatted" : "resizing",
    size: grown ? volume.size : latch.size,
  });
}

async function growInPlace(
  pool: Pool,
  volume: Volume,
  fs: Filesystem,
  device: string,
  operation: Operation,
): Promise<Latch> {
  operation.step(`growing the ${fs.name} file system`);
  await operation.lasting(() =>
    fs.growOffline(device, {
      memoryBytes: toolMemory,
      signal: operation.signal,
      onStart: (pid) => operation.child(pid, `resize of ${fs.name}`),
    }),
  );
  const latch: Latch = { state: "formatted", fsType: fs.name, size: volume.size };
  await pool.setLatch(volume, latch);
  return latch;
}

/** For file systems that grow when mounted. Called after every mount, with the volume's latch; does nothing where nothing is to do. */
export async function growAfter(
  pool: Pool,
  volume: Volume,
  latch: Latch,
  mountPath: string,
  device: string,
): Promise<void> {
  if (latch.state !== "formatted" || latch.size >= volume.size) return;
  await filesystemFor(latch.fsType).growOnline(mountPath, device);
  await pool.setLatch(volume, { ...latch, size: volume.size });
}

/** The work on a copy that is still aside: a UUID of its own, its checks, its growth. Gives the copy's latch. */
export async function finishCopy(
  device: string,
  latch: Latch,
  volume: { readonly name: string; readonly size: number },
  progress: Progress,
): Promise<Latch> {
  // A half-made file system stays one to be made again: it is not blank.
  if (latch.state !== "formatted" && latch.state !== "resizing") return latch;
  const found = await probe(device);
  if (found?.type !== latch.fsType) {
    throw new Problem(
      "CONTENT_LOST",
      `the source of '${volume.name}' was formatted with ${latch.fsType} and holds ${found?.type ?? "nothing"}`,
    );
  }
  const fs = filesystemFor(latch.fsType);
  const options = {
    memoryBytes: toolMemory,
    signal: progress.signal,
    onStart: (pid: number) => progress.child(pid, `${fs.name} tools`),
  };
  if (latch.state === "resizing") await fs.check(device, { repair: "full", ...options });
  progress.step(`giving the copied ${fs.name} file system its own UUID`);
  await fs.newUuid(device, options);
  const bytes = await deviceSize(device);
  if (latch.state === "resizing" || latch.size < bytes) {
    progress.step(`growing the copied ${fs.name} file system`);
    await fs.growOffline(device, options);
  }
  return { state: "formatted", fsType: latch.fsType, size: volume.size };
}
