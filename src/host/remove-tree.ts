/** Removing a folder with all that is in it, in few turns at once: a large one must not take every turn of its share. */
import { join } from "node:path";
import { readdir, rmdir, unlink } from "./fs.ts";
import { isSystemError } from "./system-error.ts";

const atOnce = 4;

/** Links are removed, not followed. What is gone already is fine, so it may be called twice. @throws SystemError */
export async function removeTree(path: string): Promise<void> {
  await unlessGone(async () => {
    const entries = await readdir(path, { withFileTypes: true });
    const files = entries.filter((entry) => !entry.isDirectory());
    for (let at = 0; at < files.length; at += atOnce) {
      const some = files.slice(at, at + atOnce);
      await Promise.all(some.map(({ name }) => unlessGone(() => unlink(join(path, name)))));
    }
    for (const entry of entries) if (entry.isDirectory()) await removeTree(join(path, entry.name));
    await rmdir(path);
  });
}

async function unlessGone(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error;
  }
}
