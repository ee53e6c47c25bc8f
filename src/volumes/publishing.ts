/** A staged volume at its target paths: bind mounts of the staging path, or of the raw device. */
import { closeSync } from "node:fs";
import { lstat } from "node:fs/promises";
import { setReadOnly } from "../host/device-writes.ts";
import { mountAt } from "../host/mount-at.ts";
import { bind, unmount } from "../host/mounts.ts";
import { makeTargetDirectory, makeTargetFile, removeEmptyDirectory, removeTarget } from "../host/paths.ts";
import type { StageRecord, Target } from "../pools/node-records.ts";
import type { Pool, Progress, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import { hasCode } from "../pools/record.ts";
import type { Call, PublishRequest } from "./api.ts";
import { isMultiTarget, isReadOnly, unsupported } from "./capabilities.ts";
import { markUsed } from "./content.ts";
import type { Context } from "./context.ts";
import { mismatch } from "./matching.ts";
import { look } from "./mounted.ts";
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
    const record = await this.#staged(pool, volume, request);
    const readonly = request.readonly || isReadOnly(capability.mode);
    const there = await look(pool, volume, record, targetPath);
    const known = record.targets.find((target) => target.path === targetPath);
    if (there.what === "other" || there.what === "former") {
      throw new Problem(
        "PUBLISHED_DIFFERENTLY",
        `something else (${there.mount?.fsType}) is mounted at the target path ${targetPath}`,
      );
    }
    if (there.what === "ours") {
      const same =
        (known?.mode ?? capability.mode) === capability.mode && (known?.readonly ?? there.mount?.readonly) === readonly;
      if (same) return;
      throw new Problem(
        "PUBLISHED_DIFFERENTLY",
        `the volume '${volume.name}' is published at ${targetPath} as ${known?.mode ?? "unknown"}`,
      );
    }
    const others = await this.#refuseMore(pool, volume, record, request);
    const target: Target = { path: targetPath, readonly, mode: capability.mode };
    await records.write({ ...record, targets: [...others, target] });
    progress.step("mounting at the target path");
    try {
      if (capability.access === "block") await this.#bindDevice(pool, volume, target, others);
      else await bindDirectory(record, target, capability.mountFlags);
    } catch (error) {
      if ((await look(pool, volume, record, targetPath)).what === "nothing") {
        await removeEmpty(targetPath).catch(() => undefined);
        await records.write({ ...record, targets: others });
      }
      throw error;
    }
  }

  /** The volume's stage record, after a look whether it is true. */
  async #staged(pool: Pool, volume: Volume, request: PublishRequest): Promise<StageRecord> {
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
    const real =
      record.access === "block"
        ? (await pool.opened(volume)) !== undefined
        : (await look(pool, volume, record, at)).what === "ours";
    if (!real)
      throw new Problem("NOT_STAGED", `the volume '${volume.name}' is not mounted at its staging path ${at} any more`);
    return record;
  }

  /** Targets that still are; throws TARGETS_EXHAUSTED where one more is not allowed beside them. */
  async #refuseMore(pool: Pool, volume: Volume, record: StageRecord, request: PublishRequest): Promise<Target[]> {
    const others: Target[] = [];
    for (const target of record.targets) {
      if (target.path !== request.targetPath && (await look(pool, volume, record, target.path)).what === "ours")
        others.push(target);
    }
    const [other] = others;
    if (other && !isMultiTarget(request.capability.mode)) {
      throw new Problem(
        "TARGETS_EXHAUSTED",
        `the volume '${volume.name}' is published at ${other.path}, and ${request.capability.mode} allows one target`,
      );
    }
    return others;
  }

  async #bindDevice(pool: Pool, volume: Volume, target: Target, others: readonly Target[]): Promise<void> {
    const place = await pool.opened(volume);
    if (place?.gives !== "device")
      throw new Problem("NOT_STAGED", `the volume '${volume.name}' has no device on this node`);
    // A read-only mount of a device node says nothing about the device: it is the device that must refuse writes.
    const [other] = others;
    if (other && other.readonly !== target.readonly) {
      throw new Problem(
        "TARGETS_EXHAUSTED",
        `the raw volume '${volume.name}' is ${other.readonly ? "read-only" : "writable"} at ${other.path}, so it can't be otherwise here`,
        {
          advice: "publish it everywhere in the same way",
        },
      );
    }
    await markUsed(pool, volume);
    await setReadOnly(place.device, target.readonly);
    await inPlace(target.path, makeTargetFile, (at) =>
      bind({ source: place.device, target: target.path, at, readonly: target.readonly }),
    );
  }

  async #unpublish(pool: Pool, volume: Volume, targetPath: string, progress: Progress): Promise<void> {
    const records = this.#context.records(pool);
    const record = await records.read(volume.key);
    if (record?.stagingPath === targetPath) {
      throw new Problem("FIELD_INVALID", `target_path ${targetPath} is the volume's staging path`);
    }
    progress.step("unmounting the target path");
    let removed = false;
    for (;;) {
      const there = await look(pool, volume, record, targetPath);
      if (there.what === "other") {
        throw new Problem(
          "VOLUME_IN_USE",
          `something else (${there.mount?.fsType}) is mounted at the target path ${targetPath}`,
          {
            advice: "whoever mounted it must take it away",
          },
        );
      }
      if (there.what === "nothing") break;
      try {
        const unmounted = await unmount(targetPath, { signal: progress.signal });
        // The kernel removes no directory that is mounted on, so this also tells that there was one mount only.
        removed = unmounted && record?.access === "mount" && (await removeEmptyDirectory(targetPath));
        if (removed) break;
      } catch (error) {
        if (!hasCode(error, "EBUSY")) throw error;
        throw new Problem("VOLUME_IN_USE", `the target path ${targetPath} is in use`, {
          cause: error,
          advice: "end what uses it",
        });
      }
    }
    if (!removed) await removeEmpty(targetPath);
    if (!record) return;
    const targets = record.targets.filter((target) => target.path !== targetPath);
    if (targets.length === record.targets.length) return;
    try {
      await records.write({ ...record, targets });
    } catch (error) {
      // On a full pool it stays as it is: a target counts only while the kernel has it too.
      if (!hasCode(error, "ENOSPC", "EDQUOT")) throw error;
    }
  }
}

async function bindDirectory(record: StageRecord, target: Target, flags: readonly string[]): Promise<void> {
  const own = flags.filter((flag) => ofMount.has(flag));
  await inPlace(target.path, makeTargetDirectory, (at) =>
    bind({ source: record.stagingPath, target: target.path, at, readonly: target.readonly, flags: own }),
  );
}

/** Makes the target and mounts on what was made, whatever has that path by then. */
async function inPlace(
  path: string,
  make: (path: string) => Promise<number>,
  mount: (at: number) => Promise<void>,
): Promise<void> {
  const at = await make(path).catch((error: unknown) => {
    if (hasCode(error, "ENOENT", "ELOOP", "ENOTDIR", "EISDIR", "EEXIST")) throw badPath("target_path", path, error);
    throw error;
  });
  try {
    await refusedFlags(() => mount(at));
  } finally {
    closeSync(at);
  }
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
