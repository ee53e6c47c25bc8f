/** A volume on this node, once: opened, made mountable, mounted at its staging path. */

import { closeSync, constants } from "node:fs";
import { fileSystemNumber, type Mount, mountAt } from "../host/mount-at.ts";
import { bind, mountFilesystem, unmount } from "../host/mounts.ts";
import { O_PATH, openWithoutSymlinks } from "../host/paths.ts";
import { SystemError } from "../host/system-error.ts";
import { eachApart } from "../pools/each-apart.ts";
import type { StageRecord } from "../pools/node-records.ts";
import type { Opened, Pool, Progress, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import { hasCode } from "../pools/record.ts";
import type { Call, Capability, StageRequest } from "./api.ts";
import { isReadOnly, unsupported } from "./capabilities.ts";
import { growAfter, growBefore, markUsed, prepare } from "./content.ts";
import type { Context } from "./context.ts";
import type { Operation } from "./ledger.ts";
import { mismatch } from "./matching.ts";
import { type Found, fileSystemOf, isApart, look, mountedBeside } from "./mounted.ts";
import { stillThere } from "./pool-set.ts";

export class StageRules {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  async stage(request: StageRequest, call: Call): Promise<void> {
    const { pool, volume } = await this.#context.pools.theVolume(request.id);
    const reason = unsupported(pool, request.capability) ?? mismatch(volume, request.capability);
    // The node's calls have no INVALID_ARGUMENT for this: the specification says FAILED_PRECONDITION.
    if (reason !== undefined)
      throw new Problem("FILESYSTEM_UNSUPPORTED", reason, { advice: "stage it as what it was made for" });
    await this.#context.ledger.run(
      this.#context.volumeSubject(pool, volume),
      call,
      JSON.stringify(request),
      async (operation) => {
        const current = await stillThere(pool, volume);
        const readonly = (await this.#attachedReadOnly(pool, current)) || isReadOnly(request.capability.mode);
        await this.#stage(pool, current, request, readonly, operation);
      },
    );
  }

  async unstage(asked: { readonly id: string; readonly stagingPath: string }, call: Call): Promise<void> {
    const found = await this.#context.pools.volume(asked.id);
    if (!found) return;
    const { pool, volume } = found;
    await this.#context.ledger.run(
      this.#context.volumeSubject(pool, volume),
      call,
      JSON.stringify(asked),
      (operation) => this.#unstage(pool, volume, asked.stagingPath, operation),
    );
  }

  /** As `stage`, of a volume whose lock the caller holds and whose request it has checked. */
  stageHeld(pool: Pool, volume: Volume, request: StageRequest, readonly: boolean, operation: Operation): Promise<void> {
    return this.#stage(pool, volume, request, readonly, operation);
  }

  /** As `unstage`, of a volume whose lock the caller holds. */
  unstageHeld(pool: Pool, volume: Volume, stagingPath: string, progress: Progress): Promise<void> {
    return this.#unstage(pool, volume, stagingPath, progress);
  }

  /** Stages that a crash cut short were never acknowledged: they are undone, so that nothing stays open unasked. */
  async closeHalfOpened(pool: Pool): Promise<void> {
    const records = this.#context.records(pool);
    await eachApart(await records.keys(), async (key) => {
      if ((await records.read(key))?.state !== "opening") return;
      const { name } = (await pool.find(key)) ?? { name: key };
      const call: Call = { rpc: "recovery", requestId: "start", signal: AbortSignal.timeout(60_000) };
      await this.#context.ledger
        .run(this.#context.volumeSubject(pool, { key, name }), call, key, async (operation) => {
          // Whoever repeated the call meanwhile has finished it.
          const now = await records.read(key);
          if (now?.state !== "opening") return;
          const volume = await pool.find(key);
          if (volume?.nonce === now.nonce) await this.#unstage(pool, volume, now.stagingPath, operation);
          else await records.remove(key);
        })
        .catch((error: unknown) => {
          this.#context.log.warn({ volume: name, error }, "a stage that a crash cut short could not be undone yet");
        });
    });
  }

  async #stage(
    pool: Pool,
    volume: Volume,
    request: StageRequest,
    readonly: boolean,
    operation: Operation,
  ): Promise<void> {
    const { stagingPath, capability } = request;
    const records = this.#context.records(pool);
    // Needed later, and read beside the note.
    const formatted = capability.access === "mount" && pool.features.gives === "device";
    const latch = formatted ? pool.latch(volume) : undefined;
    latch?.catch(() => undefined);
    const before = await records.read(volume.key);
    if (before && before.nonce === volume.nonce && (await this.#isStaged(pool, volume, before, request))) return;
    const mounted = capability.access === "mount" ? await look(pool, volume, before, stagingPath) : undefined;
    if (mounted?.what !== "ours") await refuseBadDirectory(stagingPath, capability, mounted?.mount);
    const record: StageRecord = {
      key: volume.key,
      nonce: volume.nonce,
      stagingPath,
      access: capability.access,
      mode: capability.mode,
      fsType: capability.access === "mount" ? capability.fsType : "",
      mountFlags: capability.access === "mount" ? capability.mountFlags : [],
      state: "opening",
      fileSystem: "",
      targets: before?.nonce === volume.nonce ? before.targets : [],
    };
    // The note was lost, the mount was not: it is taken as it is.
    if (mounted?.what === "ours" && mounted.mount) {
      await records.write({ ...record, state: "staged", fileSystem: fileSystemOf(mounted.mount) });
      return;
    }
    const noted = await records.write(record);
    const note = records.begin(volume.key);
    try {
      if (latch && !readonly) await growBefore(pool, volume, await latch, operation);
      const fileSystem = await this.#open(pool, volume, record, readonly, operation);
      note.fill({ ...noted, state: "staged", fileSystem });
      await note.place();
    } catch (error) {
      await note.drop();
      await this.#undo(pool, volume, record, operation);
      const gone = hasCode(error, "ENOENT", "ELOOP", "ENOTDIR") && error instanceof SystemError;
      // It was there, and was taken away meanwhile.
      if (gone && error.path === stagingPath) throw badPath("staging_target_path", stagingPath, error);
      throw error;
    }
  }

  /** Opens and mounts. Gives the file system's number, or nothing for a raw device. */
  async #open(
    pool: Pool,
    volume: Volume,
    record: StageRecord,
    readonly: boolean,
    operation: Operation,
  ): Promise<string> {
    const block = record.access === "block";
    operation.step("opening the volume");
    const opened = await pool.open(volume, { readonly: block && readonly, keep: block }, operation);
    try {
      if (block) {
        await markUsed(pool, volume);
        return "";
      }
      const number = await this.#mount(pool, volume, opened, record, readonly, operation);
      const mount = number ?? (await mountAt(record.stagingPath));
      return mount ? fileSystemOf(mount) : "";
    } finally {
      opened.release();
    }
  }

  /** Gives the file system's number where the kernel tells it by a descriptor. */
  async #mount(
    pool: Pool,
    volume: Volume,
    opened: Opened,
    record: StageRecord,
    readonly: boolean,
    operation: Operation,
  ): Promise<Pick<Mount, "major" | "minor"> | undefined> {
    const target = record.stagingPath;
    let number: Pick<Mount, "major" | "minor"> | undefined;
    const attached = (fd: number) => {
      number = fileSystemNumber(fd);
    };
    if (opened.gives === "directory") {
      operation.step("mounting");
      await refusedFlags(() => bind({ source: opened.path, target, readonly, flags: record.mountFlags, attached }));
      return number;
    }
    const { fs, latch } = await prepare(pool, volume, opened, record.fsType, operation);
    operation.step(`mounting the ${fs.name} file system`);
    const flags = [...(opened.discards ? fs.mountFlags : []), ...record.mountFlags];
    await refusedFlags(() =>
      mountFilesystem({
        device: opened.device,
        target,
        fsType: fs.name,
        flags,
        readonly,
        signal: operation.signal,
        attached,
      }),
    );
    if (!readonly) await growAfter(pool, volume, latch, target, opened.device);
    return number;
  }

  /** Staged as asked: true. Not staged: false. Staged otherwise: STAGED_DIFFERENTLY. */
  async #isStaged(pool: Pool, volume: Volume, before: StageRecord, request: StageRequest): Promise<boolean> {
    const { capability, stagingPath } = request;
    if (before.access === "block") {
      if ((await pool.opened(volume)) === undefined) return false;
    } else if ((await look(pool, volume, before, before.stagingPath)).what !== "ours") {
      return false;
    }
    const same = before.stagingPath === stagingPath && sameCapability(before, capability);
    if (!same) {
      throw new Problem(
        "STAGED_DIFFERENTLY",
        `the volume '${volume.name}' is staged at ${before.stagingPath} as ${before.access}, ${before.mode}`,
      );
    }
    // Killed between the mount and its note: the mount is whole; what comes after it and the note are missing.
    if (before.state !== "staged") {
      await this.#complete(pool, volume, before);
      const mount = before.access === "block" ? undefined : await mountAt(stagingPath);
      await this.#context
        .records(pool)
        .write({ ...before, state: "staged", fileSystem: mount ? fileSystemOf(mount) : "" });
    }
    return true;
  }

  /** What a stage does after the device is there, or mounted. */
  async #complete(pool: Pool, volume: Volume, record: StageRecord): Promise<void> {
    if (record.access === "block") return markUsed(pool, volume);
    const place = await pool.opened(volume);
    if (place?.gives === "device" && !isReadOnly(record.mode))
      await growAfter(pool, volume, await pool.latch(volume), record.stagingPath, place.device);
  }

  async #unstage(pool: Pool, volume: Volume, stagingPath: string, progress: Progress): Promise<void> {
    const records = this.#context.records(pool);
    const record = await records.read(volume.key);
    if (record && record.stagingPath !== stagingPath) {
      // Where it is staged it stays.
      if (record.access === "block" || (await look(pool, volume, record, record.stagingPath)).what === "ours")
        return this.#unmountSecond(pool, volume, record, stagingPath, progress);
    }
    await this.#close(pool, volume, record, stagingPath, progress);
    await records.remove(volume.key);
  }

  /**
   * Not staged there, says the note. It may have been lost for a while, and the volume been staged a second time meanwhile: then
   * that mount goes. Where it is published by the note nothing is unstaged, whoever asks.
   */
  async #unmountSecond(
    pool: Pool,
    volume: Volume,
    record: StageRecord,
    stagingPath: string,
    progress: Progress,
  ): Promise<void> {
    // A device is opened once: no stage has mounted it twice, so what else has it mounted is no stage.
    if (pool.features.gives === "device") return;
    if (!(await isApart(stagingPath, [record.stagingPath, ...record.targets.map((target) => target.path)]))) return;
    await this.#unmount(pool, volume, record, stagingPath, ["ours"], progress);
  }

  async #close(
    pool: Pool,
    volume: Volume,
    record: StageRecord | undefined,
    stagingPath: string,
    progress: Progress,
  ): Promise<void> {
    const place = await pool.opened(volume);
    const places = [...(place ? [place] : []), ...((await pool.former?.(volume)) ?? [])];
    // A shared directory has other users, whom its unmounting does not concern.
    const own = pool.features.multiNode ? (record?.targets.map(({ path }) => path) ?? []) : undefined;
    const looked = own?.length === 0 ? [] : places;
    const beside = (await Promise.all(looked.map((each) => mountedBeside(each, stagingPath)))).flat();
    const others = beside.filter((target) => own?.includes(target) ?? true);
    if (others.length > 0) {
      // A raw device would be taken from under its user, and its number given to another volume.
      throw new Problem("VOLUME_IN_USE", `the volume '${volume.name}' is still published at ${others.join(", ")}`);
    }
    await this.#unmount(pool, volume, record, stagingPath, ["ours", "former"], progress);
    progress.step("closing the device");
    await pool.close(volume, progress);
  }

  /** Takes off the path what is mounted there, however often, where it is one of these. */
  async #unmount(
    pool: Pool,
    volume: Volume,
    record: StageRecord | undefined,
    stagingPath: string,
    whose: readonly Found["what"][],
    progress: Progress,
  ): Promise<void> {
    progress.step("unmounting");
    // A crash can have left two mounts on one another.
    for (;;) {
      const { what } = await look(pool, volume, record, stagingPath);
      if (!whose.includes(what)) return;
      try {
        if (!(await unmount(stagingPath, { signal: progress.signal }))) return;
      } catch (error) {
        if (!hasCode(error, "EBUSY")) throw error;
        throw new Problem("VOLUME_IN_USE", `the staging path ${stagingPath} of the volume '${volume.name}' is in use`, {
          cause: error,
        });
      }
    }
  }

  /** After a failed stage nothing stays open; what can't be closed now keeps its record, so that unstage finds it. */
  async #undo(pool: Pool, volume: Volume, record: StageRecord, progress: Progress): Promise<void> {
    const calm = { ...progress, signal: AbortSignal.timeout(10_000) };
    try {
      await this.#close(pool, volume, record, record.stagingPath, calm);
      await this.#context.records(pool).remove(volume.key);
    } catch (error) {
      this.#context.log.warn({ volume: volume.name, error }, "a failed stage could not be undone at once");
    }
  }

  /** Whether the attachment lets this node only read. Throws NOT_ATTACHED where this node has none. */
  async #attachedReadOnly(pool: Pool, volume: Volume): Promise<boolean> {
    const holders = await pool.attachments?.holders(volume);
    if (!holders) return false;
    const { node } = this.#context.pools;
    const mine = holders.find((holder) => holder.node === node);
    if (mine) return mine.readonly;
    const elsewhere =
      holders.length > 0
        ? `attached to ${holders.map((holder) => holder.node).join(", ")}`
        : "not attached to any node";
    throw new Problem("NOT_ATTACHED", `the volume '${volume.name}' is ${elsewhere}, and this is ${node}`);
  }
}

export function sameCapability(
  record: Pick<StageRecord, "access" | "mode" | "fsType" | "mountFlags">,
  capability: Capability,
): boolean {
  if (record.access !== capability.access || record.mode !== capability.mode) return false;
  if (capability.access === "block") return true;
  return record.fsType === capability.fsType && record.mountFlags.join() === capability.mountFlags.join();
}

/** The orchestrator made the staging directory. A symlink, a file or somebody's mount there is refused, never followed. */
async function refuseBadDirectory(path: string, capability: Capability, mount: Mount | undefined): Promise<void> {
  try {
    closeSync(await openWithoutSymlinks(path, O_PATH | constants.O_DIRECTORY));
  } catch (error) {
    // A raw volume needs no place of its own at its staging path.
    if (capability.access === "block" && hasCode(error, "ENOENT")) return;
    if (!isOfPath(error)) throw error;
    throw badPath("staging_target_path", path, error);
  }
  if (mount)
    throw new Problem("STAGED_DIFFERENTLY", `something else (${mount.fsType}) is mounted at the staging path ${path}`);
}

/** Whether it is the request's path that is wrong, and not the host that can't look at it now. */
function isOfPath(error: unknown): boolean {
  return hasCode(error, "ENOENT", "ELOOP", "ENOTDIR", "ENAMETOOLONG", "EINVAL", "EACCES", "EPERM", "EXDEV");
}

export function badPath(field: string, path: string, error: unknown): Problem {
  const why = hasCode(error, "ENOENT")
    ? "it, or a folder above it, is not there"
    : hasCode(error, "ELOOP")
      ? "a step of it is a symbolic link"
      : hasCode(error, "ENOTDIR")
        ? "a step of it is not a directory"
        : error instanceof Error
          ? error.message
          : String(error);
  return new Problem("FIELD_INVALID", `${field} ${path} can't be used: ${why}`, { cause: error });
}

/** What the kernel says of flags and of a damaged file system, as problems. */
export async function refusedFlags(mount: () => Promise<void>): Promise<void> {
  try {
    await mount();
  } catch (error) {
    if (hasCode(error, "EINVAL"))
      throw new Problem("MOUNT_REFUSED", error instanceof Error ? error.message : String(error), { cause: error });
    if (hasCode(error, "EUCLEAN"))
      throw new Problem("FILESYSTEM_DAMAGED", error instanceof Error ? error.message : String(error), { cause: error });
    if (hasCode(error, "ENODEV"))
      throw new Problem("FILESYSTEM_UNSUPPORTED", error instanceof Error ? error.message : String(error), {
        cause: error,
      });
    throw error;
  }
}
