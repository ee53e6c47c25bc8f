/**
 * Holds a volume still for a cut, whatever happens: a mounted file system is frozen by a helper that thaws at the end of
 * its pipe or of its time; a raw device is flushed. What is about to be frozen is recorded first, and start-up thaws
 * what is recorded.
 */
import { setTimeout as delay } from "node:timers/promises";
import { claimDevice } from "../host/device.ts";
import { freeze, NotFrozen, thaw } from "../host/freeze.ts";
import { mountAt } from "../host/mount-at.ts";
import { listMounts } from "../host/mount-table.ts";
import { syncDevice } from "../host/stats.ts";
import type { Log } from "../observe/log.ts";
import type { NodeRecords } from "../pools/node-records.ts";
import type { Hold, Pool, Progress, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import { hasCode } from "../pools/record.ts";

/** Milliseconds in which the kernel lets go of a device after its last unmount, if nobody else has it. */
const passingMs = 200;
/** Local pools have nobody to ask. */
const withoutAsking = "let the controller share the node's mount namespace, or unpublish and unstage the volume first";

/** The volume is in use, and only the driver of that node can hold it still. Nothing was done. */
export class HeldElsewhere extends Problem {
  readonly pool: Pool;
  readonly volume: Volume;
  readonly node: string;

  constructor(pool: Pool, volume: Volume, node: string, what: string) {
    super("SOURCE_NOT_READY", what, { advice: withoutAsking });
    this.pool = pool;
    this.volume = volume;
    this.node = node;
  }
}

export class Holder {
  readonly #records: (pool: Pool) => NodeRecords;
  readonly #log: Log;
  readonly #otherProcess: string | undefined;
  /** By pool: what a start thaws there. It can't tell a new freeze from a left one, so until then nothing is frozen. */
  readonly #thawing = new Map<string, Promise<unknown>>();

  /** `otherProcess`: the name of this node, where another process of it opens the volumes. */
  constructor(records: (pool: Pool) => NodeRecords, log: Log, otherProcess?: string) {
    this.#records = records;
    this.#log = log;
    this.#otherProcess = otherProcess;
  }

  /** The caller has the volume's lock, so nobody opens or closes it meanwhile. */
  still(pool: Pool, volume: Volume, progress: Progress): Hold {
    return async (maxMs, cut) => {
      for (const until = performance.now() + passingMs; ; await delay(5, undefined, { signal: progress.signal })) {
        const place = await pool.opened(volume);
        if (place?.gives === "directory") return cut("moving");
        const target = place && (await reachableMount(place.device));
        if (target !== undefined) return this.#frozen(pool, volume, target, maxMs, () => cut("frozen"), progress);
        if (place && !(await this.#hasFileSystem(pool, volume))) {
          progress.step("flushing the device");
          await syncDevice(place.device);
          return cut("moving");
        }
        const claim = place && (await this.#claim(pool, volume, place.device));
        if (claim) return await unmounted(claim, () => cut("idle"));
        const refused = await this.#refusal(pool, volume, place !== undefined);
        if (!refused) return cut("idle");
        // A device that its last user has just let go of is there for a moment more.
        if (refused instanceof HeldElsewhere || performance.now() > until) throw refused;
      }
    };
  }

  /**
   * Thaws what a dead process may have left frozen. Called at start, while calls are served already. The record's name says
   * which volume, and the kernel where that is mounted: what the record says of that is never believed.
   */
  async thawRecorded(pool: Pool): Promise<void> {
    const thawing = this.#thawRecorded(pool);
    this.#thawing.set(pool.uuid, thawing);
    try {
      await thawing;
    } finally {
      this.#thawing.delete(pool.uuid);
    }
  }

  async #thawRecorded(pool: Pool): Promise<void> {
    const records = this.#records(pool);
    for (const { key, path: record } of await records.freezes()) {
      try {
        for (const path of await mountsOf(pool, key)) {
          if (await thaw(path))
            this.#log.warn({ pool: pool.name, path }, "thawed a file system that a crash left frozen");
        }
        await records.endFreeze(key);
      } catch (error) {
        this.#log.error(
          { pool: pool.name, path: record, error },
          "a file system may be frozen and could not be thawed",
        );
      }
    }
  }

  async #frozen<T>(
    pool: Pool,
    volume: Volume,
    mountPath: string,
    maxMs: number,
    cut: () => Promise<T>,
    progress: Progress,
  ): Promise<T> {
    const records = this.#records(pool);
    const thawing = this.#thawing.get(pool.uuid);
    if (thawing) progress.step("waiting until what a crash left frozen is thawed");
    await thawing?.catch(() => undefined);
    progress.step("freezing the file system");
    const record = () => records.recordFreeze(volume.key, { mountPath });
    const frozen = await freeze({ mountPath, maxMs, record }).catch(async (error: unknown) => {
      if (!(error instanceof NotFrozen)) throw error;
      // Else the next start would thaw what somebody else has frozen.
      if (error.over) await records.endFreeze(volume.key);
      throw new Problem("SNAPSHOT_NEEDS_FREEZE", error.message, { cause: error });
    });
    const outcome = await settled(cut);
    progress.step("thawing the file system");
    const whole = await frozen.thaw();
    await records.endFreeze(volume.key);
    this.#log.debug({ pool: pool.name, volume: volume.name, ms: frozen.frozenMs() }, "the file system stood still");
    if (whole || "error" in outcome) return unsettled(outcome);
    // A cut of a file system that moved must never pass for one of a file system that stood still.
    throw new Problem(
      "SNAPSHOT_NEEDS_FREEZE",
      `the file system at ${mountPath} thawed before the cut was made (limit ${maxMs} ms)`,
    );
  }

  /** Other nodes, or this one where another process of it opens the volumes. */
  async #nodesWith(pool: Pool, volume: Volume): Promise<readonly string[]> {
    const others = await this.#records(pool).othersWith(volume);
    if (others.length > 0 || this.#otherProcess === undefined) return others;
    const own = await this.#records(pool).read(volume.key);
    return own?.nonce === volume.nonce ? [this.#otherProcess] : [];
  }

  /** Undefined: nobody has it open. */
  async #refusal(pool: Pool, volume: Volume, mounted: boolean): Promise<Problem | undefined> {
    if (mounted) {
      const what = `the volume '${volume.name}' is mounted where this process can't see it, and can't be frozen`;
      return refusal(pool, volume, await this.#nodesWith(pool, volume), what);
    }
    const others = await this.#records(pool).othersWith(volume);
    const holder = others.length > 0 ? `staged on ${others.join(", ")}` : await pool.inUse(volume);
    if (holder === undefined) return undefined;
    const what = `the volume '${volume.name}' is open where this process can't hold it still: ${holder}`;
    return refusal(pool, volume, others, what);
  }

  /** A device that a stage or an unstage that was cut short has left open. Undefined: it is mounted, or going, or another's by now. */
  async #claim(pool: Pool, volume: Volume, device: string): Promise<Claim | undefined> {
    const claim = await claimDevice(device, 0).catch(unlessGone);
    if (!claim) return undefined;
    const now = await pool.opened(volume);
    if (now?.gives === "device" && now.device === device) return { device, ...claim };
    await claim.release();
    return undefined;
  }

  /** Not a raw volume, whose consumers claim nothing. */
  async #hasFileSystem(pool: Pool, volume: Volume): Promise<boolean> {
    const record = await this.#records(pool).read(volume.key);
    return record?.access !== "block" && (await pool.latch(volume)).state !== "used";
  }
}

/** Where the volume is mounted on this node; also bytes that were the volume's before a detach by force. */
async function mountsOf(pool: Pool, key: string): Promise<string[]> {
  const volume = await pool.find(key);
  if (!volume || pool.features.gives === "directory") return [];
  const places = [await pool.opened(volume), ...((await pool.former?.(volume)) ?? [])];
  const found: string[] = [];
  for (const place of places) {
    const path = place?.gives === "device" ? await reachableMount(place.device) : undefined;
    if (path !== undefined) found.push(path);
  }
  return found;
}

/** Where the device's file system is mounted and can be reached: what somebody mounted over it would be frozen instead. */
async function reachableMount(device: string): Promise<string | undefined> {
  for (const line of await listMounts()) {
    if (line.source !== device) continue;
    const top = await mountAt(line.target).catch(() => undefined);
    if (top && top.major === line.major && top.minor === line.minor) return line.target;
  }
  return undefined;
}

function refusal(pool: Pool, volume: Volume, nodes: readonly string[], what: string): Problem {
  const [node, ...more] = nodes;
  if (node !== undefined && more.length === 0) return new HeldElsewhere(pool, volume, node, what);
  return new Problem("SOURCE_NOT_READY", what, { advice: withoutAsking });
}

interface Claim {
  readonly device: string;
  readonly release: () => Promise<void>;
}

/** While this process has claimed the device nobody mounts it. */
async function unmounted<T>({ device, release }: Claim, cut: () => Promise<T>): Promise<T> {
  try {
    await syncDevice(device);
    return await cut();
  } finally {
    await release();
  }
}

/** A loop device that is being detached, or whose number is free. */
function unlessGone(error: unknown): undefined {
  if (!hasCode(error, "ENXIO", "ENODEV", "ENOENT")) throw error;
}

type Outcome<T> = { readonly value: T } | { readonly error: unknown };

async function settled<T>(work: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error };
  }
}

function unsettled<T>(outcome: Outcome<T>): T {
  if ("error" in outcome) throw outcome.error;
  return outcome.value;
}
