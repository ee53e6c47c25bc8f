/**
 * Whether another controller process works on the same pool now, or did since this one looked last. While this one is
 * alone, what it remembers of the pool's promises is right; as soon as there is another, each sum is read from the disk again.
 *
 * Why that is safe: each process announces itself before it promises anything, and looks for others after its promise is
 * visible. Of two at once, the later to look sees the other's promise, and withdraws its own if both do not fit.
 */
import { randomBytes } from "node:crypto";
import { readdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { type FileLock, isLocked, lockFile } from "../host/locks.ts";
import { hasCode } from "./record.ts";

export class Presence {
  readonly #folder: string;
  readonly #name = randomBytes(8).toString("hex");
  #announced: Promise<FileLock> | undefined;

  constructor(pool: string) {
    this.#folder = join(pool, "controllers");
  }

  /** Announces this process; the kernel takes the announcement back when it dies. */
  async announce(): Promise<void> {
    this.#announced ??= this.#lock();
    await this.#announced;
  }

  /**
   * Undefined: somebody else works on the pool now. Else a mark of the present time of being alone: the same mark again
   * says that nobody came since, not even one that is gone again, for each leaves a change of the folder.
   */
  async alone(): Promise<string | undefined> {
    await this.announce();
    // Before the look at who is here: whoever comes or goes during it changes the next mark.
    const { mtimeNs, ctimeNs } = await stat(this.#folder, { bigint: true });
    let others = 0;
    for (const name of await readdir(this.#folder)) {
      if (name === this.#name) continue;
      const path = join(this.#folder, name);
      if (await isHeld(path)) others += 1;
      else await unlink(path).catch(() => undefined);
    }
    return others === 0 ? `${mtimeNs} ${ctimeNs}` : undefined;
  }

  async end(): Promise<void> {
    const lock = await this.#announced;
    await lock?.release();
    this.#announced = undefined;
  }

  /** The name is ours alone: whoever holds it is another process looking whether it is held, and is gone at once. */
  async #lock(): Promise<FileLock> {
    for (;;) {
      const lock = await lockFile(join(this.#folder, this.#name));
      if (!("heldBy" in lock)) return lock;
    }
  }
}

/** One that ended while it was looked at is not here. */
async function isHeld(path: string): Promise<boolean> {
  try {
    return await isLocked(path);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return false;
    throw error;
  }
}
