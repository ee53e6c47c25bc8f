/** A staged volume at its target paths: bind mounts of the staging path, or of the raw device. */
import { closeSync } from "node:fs";
import { setReadOnly } from "../host/device-writes.ts";
import { lstat } from "../host/fs.ts";
import { mountAt } from "../host/mount-at.ts";
import { bind, unmount } from "../host/mounts.ts";
import { O_PATH, openWithoutSymlinks, removeEmptyDirectory, removeTarget, TargetPlace } from "../host/paths.ts";
import { together } from "../host/together.ts";
import type { StageRecord, Target } from "../pools/node-records.ts";
import type { Pool, Progress, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import { hasCode } from "../pools/record.ts";
import type { Call, PublishRequest } from "./api.ts";
import { isMultiTarget, isReadOnly, unsupported } from "./capabilities.ts";
import { markUsed } from "./content.ts";
import type { Context } from "./context.ts";
import { mismatch } from "./matching.ts";
import { type Found, look, lookOpen } from "./mounted.ts";
import { badPath, refusedFlags } from "./staging.ts";

/** Flags that a bind mount has of its own; the others belong to the file system and were given at the stage. */
const ofMount = new Set([
  "nosuid",
  "suid",
  "nodev",
  "dev",
  "noexec",
  "exec",
  "noatime",
  "atime",
  "nodiratime",
  "relatime",
  "strictatime",
]);

/** What a publish copies the mount of: the staging path, or the device of a raw volume. */
interface Source {
  readonly path: string;
  /** Open there (O_PATH) until `close`. */
  readonly fd: number;
  readonly device?: string;
  close(): void;
}

export class PublishRules {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  async publish(request: PublishRequest, call: Call): Promise<void> {
    const { pool, volume } = await this.#context.pools.theVolume(request.id);
    if (request.stagingPath === "") throw new Problem("NOT_STAGED", "staging_target_path is missing");
    const reason = unsupported(pool, request.capability) ?? mismatch(volume, request.capability);
    if (reason !== undefined)
      throw new Problem("FILESYSTEM_UNSUPPORTED", reason, { advice: "publish it as what it was staged" });
    await this.#context.ledger.run(
      this.#context.volumeSubject(pool, volume),
      call,
      JSON.stringify(request),
      (progress) => this.#publish(pool, volume, request, progress),
    );
  }

  async unpublish(asked: { readonly id: string; readonly targetPath: string }, call: Call): Promise<void> {
    const found = await this.#context.pools.volume(asked.id);
    if (!found) return removeEmpty(asked.targetPath);
    const { pool, volume } = found;
    await this.#context.ledger.run(this.#context.volumeSubject(pool, volume), call, JSON.stringify(asked), (progress) =>
      this.#unpublish(pool, volume, asked.targetPath, progress),
    );
  }

  async #publish(pool: Pool, volume: Volume, request: PublishRequest, progress: Progress): Promise<void> {
    const { targetPath, capability } = request;
    const records = this.#context.records(pool);
    const record = await this.#record(pool, volume, request);
    const known = record.targets.find((target) => target.path === targetPath);
    const target: Target = {
      path: targetPath,
      readonly: request.readonly || isReadOnly(capability.mode),
      mode: capability.mode,
    };
    const flags = capability.access === "mount" ? capability.mountFlags : [];
    const others = await this.#others(pool, volume, record, targetPath);
    const begin = () => {
      const note = records.begin(volume.key);
      note.fill({ ...record, targets: [...others, target] });
      return note;
    };
    let note = known ? undefined : begin();
    let written: StageRecord | undefined;
    const noted = async () => {
      note ??= begin();
      written ??= await note.place();
    };
    const place = new TargetPlace(targetPath);
    const what = capability.access === "block" ? "file" : "directory";
    let source: Source | undefined;
    let at: number | undefined;
    const make = async () => {
      at ??= await place.make(what).catch(asBadPath(targetPath));
    };
    try {
      source = await this.#source(pool, volume, record);
      // Nearly always nothing is there, which making it finds out at once, beside the note.
      if (!known && others.length === 0 && (await place.seemsFree())) await together([make(), noted()]);
      if (at === undefined) {
        if (isThere(await look(pool, volume, record, targetPath), volume, known, target)) return;
        refuseMore(volume, record, others, target);
        await make();
        at ??= await place.open(what).catch(asBadPath(targetPath));
      }
      const ready = source.device === undefined ? [] : [giveAway(pool, volume, source.device, target)];
      await together([noted(), ...ready]);
      progress.step("mounting at the target path");
      await bindAt(source, target, at, flags);
    } catch (error) {
      if (at === undefined && !written) throw error;
      const there = await look(pool, volume, record, targetPath).catch(() => undefined);
      if (at !== undefined && there?.what === "nothing") await removeEmpty(targetPath).catch(() => undefined);
      // A target counts only while the kernel has it too: the note may stay as it is.
      if (written && there?.what !== "ours")
        await records.write({ ...written, targets: others }).catch(() => undefined);
      throw error;
    } finally {
      if (at !== undefined) closeSync(at);
      source?.close();
      await place.close();
      await note?.drop();
    }
  }

  /** The volume's stage record, as it was written. */
  async #record(pool: Pool, volume: Volume, request: PublishRequest): Promise<StageRecord> {
    const record = await this.#context.records(pool).read(volume.key);
    const at = request.stagingPath;
    if (record?.nonce !== volume.nonce || record.stagingPath !== at || record.access !== request.capability.access) {
      const where =
        record?.nonce === volume.nonce ? `staged at ${record.stagingPath} as ${record.access}` : "not staged";
      throw new Problem(
        "NOT_STAGED",
        `the volume '${volume.name}' is ${where}, not at ${at} as ${request.capability.access}`,
      );
    }
    return record;
  }

  /** What is given away, after a look whether the record is true. */
  async #source(pool: Pool, volume: Volume, record: StageRecord): Promise<Source> {
    const path = record.stagingPath;
    if (record.access === "block") {
      const place = await pool.opened(volume);
      if (place?.gives === "device") {
        const { device } = place;
        const fd = await openWithoutSymlinks(device, O_PATH);
        return { path: device, device, fd, close: () => closeSync(fd) };
      }
    } else {
      const found = await lookOpen(pool, volume, record, path);
      const { fd } = found;
      if (found.what === "ours" && fd !== undefined) return { path, fd, close: () => found.close() };
      found.close();
    }
    throw new Problem("NOT_STAGED", `the volume '${volume.name}' is not mounted at its staging path ${path} any more`);
  }

  /** Targets beside this one that still are. */
  async #others(pool: Pool, volume: Volume, record: StageRecord, targetPath: string): Promise<Target[]> {
    const others: Target[] = [];
    for (const target of record.targets) {
      if (target.path !== targetPath && (await look(pool, volume, record, target.path)).what === "ours")
        others.push(target);
    }
    return others;
  }

  async #unpublish(pool: Pool, volume: Volume, targetPath: string, progress: Progress): Promise<void> {
    const records = this.#context.records(pool);
    const record = await records.read(volume.key);
    if (record?.stagingPath === targetPath) {
      throw new Problem("FIELD_INVALID", `target_path ${targetPath} is the volume's staging path`);
    }
    progress.step("unmounting the target path");
    const targets = record?.targets.filter((target) => target.path !== targetPath) ?? [];
    const note = record && targets.length < record.targets.length ? records.begin(volume.key) : undefined;
    if (record) note?.fill({ ...record, targets });
    const place = new TargetPlace(targetPath);
    let noted: Promise<unknown> | undefined;
    const gone = async () => {
      noted ??= note?.place().catch(unlessFull);
      await noted;
    };
    try {
      await this.#takeAway(pool, volume, record, place, gone, progress);
      await gone();
    } finally {
      await place.close();
      await note?.drop();
    }
  }

  /** Unmounts the target, however often it is mounted, and removes what the publish made; `gone` is told once it is unmounted. */
  async #takeAway(
    pool: Pool,
    volume: Volume,
    record: StageRecord | undefined,
    place: TargetPlace,
    gone: () => Promise<void>,
    progress: Progress,
  ): Promise<void> {
    const { path } = place;
    for (;;) {
      const there = await look(pool, volume, record, path);
      if (there.what === "other") {
        throw new Problem(
          "VOLUME_IN_USE",
          `something else (${there.mount?.fsType}) is mounted at the target path ${path}`,
          {
            advice: "whoever mounted it must take it away",
          },
        );
      }
      if (there.what === "nothing") return removeEmpty(path);
      try {
        const unmounted = await unmount(path, { signal: progress.signal });
        if (!unmounted || record?.access !== "mount") continue;
        // The kernel removes no directory that is mounted on, so this also tells that there was one mount only.
        const removed = place.removeEmptyDirectory();
        await together([removed, gone()]);
        if (await removed) return;
      } catch (error) {
        if (!hasCode(error, "EBUSY")) throw error;
        throw new Problem("VOLUME_IN_USE", `the target path ${path} is in use`, {
          cause: error,
          advice: "end what uses it",
        });
      }
    }
  }
}

/** Whether the volume is at its target as it shall be. Throws PUBLISHED_DIFFERENTLY where it is otherwise, or something else is. */
function isThere(there: Found, volume: Volume, known: Target | undefined, target: Target): boolean {
  if (there.what === "nothing") return false;
  if (there.what !== "ours") {
    throw new Problem(
      "PUBLISHED_DIFFERENTLY",
      `something else (${there.mount?.fsType}) is mounted at the target path ${target.path}`,
    );
  }
  const same =
    (known?.mode ?? target.mode) === target.mode && (known?.readonly ?? there.mount?.readonly) === target.readonly;
  if (same) return true;
  throw new Problem(
    "PUBLISHED_DIFFERENTLY",
    `the volume '${volume.name}' is published at ${target.path} as ${known?.mode ?? "unknown"}`,
  );
}

/** Throws TARGETS_EXHAUSTED where this target is not allowed beside those that are. */
function refuseMore(volume: Volume, record: StageRecord, others: readonly Target[], target: Target): void {
  const [other] = others;
  if (!other) return;
  if (!isMultiTarget(target.mode)) {
    throw new Problem(
      "TARGETS_EXHAUSTED",
      `the volume '${volume.name}' is published at ${other.path}, and ${target.mode} allows one target`,
    );
  }
  // A read-only mount of a device node says nothing about the device: it is the device that must refuse writes.
  if (record.access === "block" && other.readonly !== target.readonly) {
    throw new Problem(
      "TARGETS_EXHAUSTED",
      `the raw volume '${volume.name}' is ${other.readonly ? "read-only" : "writable"} at ${other.path}, so it can't be otherwise here`,
      {
        advice: "publish it everywhere in the same way",
      },
    );
  }
}

/** What a raw device needs before anybody may write to it. */
async function giveAway(pool: Pool, volume: Volume, device: string, target: Target): Promise<void> {
  await markUsed(pool, volume);
  await setReadOnly(device, target.readonly);
}

/** On a full pool the note stays as it is: a target counts only while the kernel has it too. */
function unlessFull(error: unknown): void {
  if (!hasCode(error, "ENOSPC", "EDQUOT")) throw error;
}

/** Mounts on what was made or found, whatever has that path by then. */
async function bindAt(source: Source, target: Target, at: number, mountFlags: readonly string[]): Promise<void> {
  const { path, readonly } = target;
  const flags = mountFlags.filter((flag) => ofMount.has(flag));
  await refusedFlags(() => bind({ source: source.path, from: source.fd, target: path, at, readonly, flags }));
}

/** What the kernel says of a target path, as a problem. */
function asBadPath(path: string): (error: unknown) => never {
  return (error) => {
    if (hasCode(error, "ENOENT", "ELOOP", "ENOTDIR", "EISDIR", "EEXIST")) throw badPath("target_path", path, error);
    throw error;
  };
}

/** What the publish made: an empty directory or an empty file. Anything else is not ours and stays. */
export async function removeEmpty(path: string): Promise<void> {
  // Nearly always an empty directory; the kernel refuses to remove any other, and one that is mounted on.
  if (await removeEmptyDirectory(path)) return;
  const there = await lstat(path).catch((error: unknown) => {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  });
  if (!there) return;
  if (!there.isDirectory() && !(there.isFile() && there.size === 0)) {
    throw new Problem(
      "FIELD_INVALID",
      `target_path ${path} is neither an empty directory nor an empty file, so it is left alone`,
    );
  }
  if (await mountAt(path).catch(() => undefined)) {
    throw new Problem("VOLUME_IN_USE", `target_path ${path} has something mounted that is not this volume`, {
      advice: "whoever mounted it must take it away",
    });
  }
  try {
    await removeTarget(path);
  } catch (error) {
    if (hasCode(error, "ELOOP", "ENOTDIR")) throw badPath("target_path", path, error);
    if (!hasCode(error, "ENOTEMPTY", "EBUSY")) throw error;
    throw new Problem("FIELD_INVALID", `target_path ${path} is not empty, so it is left alone`, { cause: error });
  }
}
