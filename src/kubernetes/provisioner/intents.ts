/**
 * What was begun: before a volume is asked for, its plan is written down, and it is struck out when the volume's object
 * is in the cluster or the driver said for certain that there is no volume. So whoever comes after a crash knows what may
 * be there without an object, and only that is ever deleted.
 */
import { mkdir, readdir, readFile, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { createDurably, sweepTemporaries, syncDirectory, writeDurably } from "../../host/files.ts";
import { isSystemError } from "../../host/system-error.ts";
import type { Log } from "../../observe/log.ts";
import type { Plan } from "./plan.ts";

/** A file that does not end with it was never whole. */
const lastByte = "\n";
/** No write takes so long. */
const tornAfterMs = 600_000;

export interface Intents {
  /** By the claim's UID. */
  get(uid: string): Plan | undefined;
  all(): readonly Plan[];
  /** Durable on return, where there is a folder. */
  begin(plan: Plan): Promise<void>;
  /** May be called twice. Not durable on return: what comes back after a power cut is looked at again. */
  end(uid: string): Promise<void>;
}

/**
 * Reads what `folder` has, and makes it when it is missing. Absent: they are only remembered, and what a process leaves
 * that was killed is reported, not collected.
 */
export async function openIntents(folder: string | undefined, log: Log): Promise<Intents> {
  const plans = new Map<string, Plan>();
  if (folder !== undefined) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await sweepTemporaries(folder);
    for (const file of await readdir(folder)) {
      if (!file.endsWith(".json") || file.startsWith(".")) continue;
      const path = join(folder, file);
      try {
        const text = await readFile(path, "utf8");
        if (!text.endsWith(lastByte)) {
          // Cut off while it was written: nothing was asked for yet. Another process may write it at this moment.
          if (Date.now() - (await stat(path)).mtimeMs > tornAfterMs) await unlink(path);
          continue;
        }
        const plan = JSON.parse(text) as Plan;
        plans.set(plan.claim.uid, plan);
      } catch (error) {
        log.error({ file: path, error }, "an intent can't be read: a volume may be left without an object");
      }
    }
  }
  const fileOf = (uid: string) => join(folder ?? "", `${uid}.json`);
  return {
    get: (uid) => plans.get(uid),
    all: () => [...plans.values()],
    async begin(plan) {
      if (folder !== undefined) await keep(folder, fileOf(plan.claim.uid), JSON.stringify(plan) + lastByte);
      plans.set(plan.claim.uid, plan);
    },
    async end(uid) {
      if (!plans.delete(uid) || folder === undefined) return;
      try {
        await unlink(fileOf(uid));
      } catch (error) {
        if (!isSystemError(error, "ENOENT")) throw error;
      }
      // Nobody waits for it, but an intent should not come back long after.
      void syncDirectory(folder).catch(() => undefined);
    },
  };
}

/**
 * Written in place and not aside, for each claim waits for it: a file system that keeps a journal commits name and content with one
 * sync of the file, and the sync of the folder after it finds nothing to do; a name that changes would be a commit of its own.
 */
async function keep(folder: string, path: string, text: string): Promise<void> {
  try {
    await createDurably(path, text);
  } catch (error) {
    if (!isSystemError(error, "EEXIST")) throw error;
    await writeDurably(path, text);
    return;
  }
  await syncDirectory(folder);
}
