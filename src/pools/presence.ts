/**
 * Whether another controller process works on the same pool now, or did since this one looked last. While this one is
 * alone, what it remembers of the pool's promises is right; as soon as there is another, each sum is read from the disk again.
 *
 * Why that is safe: each process announces itself before it promises anything, and looks for others after its promise is
 * visible. Of two at once, the later to look sees the other's promise, and withdraws its own if both do not fit.
 */
import { randomBytes } from "node:crypto";
import { closeSync, constants, fstatSync } from "node:fs";
import { join } from "node:path";
import { NotPlainFile, openFile } from "../host/files.ts";
import { readdir, stat, unlink } from "../host/fs.ts";
import { type FileLock, isLocked, lockFile } from "../host/locks.ts";
import { namingNow } from "../host/system-error.ts";
import { hasCode } from "./record.ts";

/** Milliseconds after which whatever changes the folder gives it another time: the kernel's clock of files ticks each 1 to 10. */
const tickMs = 100;

interface Announced {
  readonly lock: FileLock;
  /** Of the folder, which stays open as the lock's file does; absent where the pool is on another machine. */
  readonly fd: number | undefined;
}

export class Presence {
  readonly #folder: string;
  readonly #remote: boolean;
  readonly #name = randomBytes(8).toString("hex");
  #announced: Promise<Announced> | undefined;
  /** The folder's time at a look that found nobody else, long enough after it: while it is the same nobody came. */
  #quiet: string | undefined;

  /** `remote`: the folder's times come from a server, with its own idea of them. */
  constructor(pool: string, remote: boolean) {
    this.#folder = join(pool, "controllers");
    this.#remote = remote;
  }

  /** Announces this process; the kernel takes the announcement back when it dies. */
  async announce(): Promise<void> {
    await this.#announce();
  }

  #announce(): Promise<Announced> {
    this.#announced ??= this.#lock().catch((error: unknown) => {
      this.#announced = undefined;
      throw error;
    });
    return this.#announced;
  }

  /**
   * Undefined: somebody else works on the pool now. Else a mark of the present time of being alone: the same mark again
   * says that nobody came since, not even one that is gone again, for each leaves a change of the folder.
   */
  async alone(): Promise<string | undefined> {
    const { fd } = await this.#announce();
    // Before the look at who is here: whoever comes or goes during it changes the next mark.
    const { mtimeNs, ctimeNs } =
      fd === undefined
        ? await stat(this.#folder, { bigint: true })
        : namingNow(this.#folder, () => fstatSync(fd, { bigint: true }));
    const mark = `${mtimeNs} ${ctimeNs}`;
    if (mark === this.#quiet) return mark;
    const settled = fd !== undefined && Date.now() - Number(ctimeNs / 1_000_000n) > tickMs;
    let others = 0;
    for (const name of await readdir(this.#folder)) {
      if (name === this.#name) continue;
      const path = join(this.#folder, name);
      if (await isHeld(path)) others += 1;
      else await unlink(path).catch(() => undefined);
    }
    this.#quiet = others === 0 && settled ? mark : undefined;
    return others === 0 ? mark : undefined;
  }

  async end(): Promise<void> {
    const announced = await this.#announced;
    this.#announced = undefined;
    this.#quiet = undefined;
    if (announced?.fd !== undefined) closeSync(announced.fd);
    await announced?.lock.release();
  }

  /** The name is ours alone: whoever holds it is another process looking whether it is held, and is gone at once. */
  async #lock(): Promise<Announced> {
    for (;;) {
      const lock = await lockFile(join(this.#folder, this.#name));
      if ("heldBy" in lock) continue;
      try {
        const fd = this.#remote ? undefined : await openFile(this.#folder, constants.O_RDONLY | constants.O_DIRECTORY);
        return { lock, fd };
      } catch (error) {
        await lock.release();
        throw error;
      }
    }
  }
}

/** One that ended while it was looked at is not here. */
async function isHeld(path: string): Promise<boolean> {
  try {
    return await isLocked(path);
  } catch (error) {
    // A process's mark is a file: a folder or a link (open(2): EISDIR, ELOOP) is nobody's.
    if (error instanceof NotPlainFile || hasCode(error, "ENOENT", "EISDIR", "ELOOP", "ENXIO")) return false;
    throw error;
  }
}
