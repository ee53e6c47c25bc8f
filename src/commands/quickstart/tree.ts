/** A file tree, copied and compared byte for byte. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, lstat, mkdir, open, readdir, readlink, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { CheckFailed } from "./story.ts";

/** Relative path to what the file is: its mode and the SHA-256 of its bytes, or where a link points. */
export type Manifest = ReadonlyMap<string, string>;

/** Walks `folder`; what is called as in `skip` is left out wherever it lies. */
export async function manifestOf(
  folder: string,
  skip: ReadonlySet<string> = new Set(),
): Promise<{ manifest: Map<string, string>; bytes: number }> {
  const manifest = new Map<string, string>();
  let bytes = 0;
  const walk = async (below: string): Promise<void> => {
    for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
      const path = join(below, entry.name);
      if (skip.has(entry.name)) continue;
      if (entry.isDirectory()) await walk(path);
      else if (entry.isSymbolicLink()) manifest.set(path, `link to ${await readlink(join(folder, path))}`);
      else if (entry.isFile()) {
        const { mode, size } = await lstat(join(folder, path));
        manifest.set(path, `${(mode & 0o777).toString(8)} ${await digest(join(folder, path))}`);
        bytes += size;
      }
    }
  };
  await walk("");
  return { manifest, bytes };
}

/** Copies the files of `manifest` and makes them durable. */
export async function copyTree(from: string, to: string, manifest: Manifest): Promise<void> {
  for (const [path, what] of manifest) {
    await mkdir(dirname(join(to, path)), { recursive: true });
    if (what.startsWith("link to ")) {
      await symlink(what.slice("link to ".length), join(to, path));
      continue;
    }
    await copyFile(join(from, path), join(to, path));
    const file = await open(join(to, path), "r+").catch(() => open(join(to, path), "r"));
    await file.chmod(Number.parseInt(what.slice(0, 3), 8));
    await file.sync();
    await file.close();
  }
}

/** Throws a CheckFailed that names what differs: the first ten files. */
export function compare(where: string, expected: Manifest, found: Manifest): void {
  const differences: string[] = [];
  for (const [path, what] of expected) {
    const there = found.get(path);
    if (there === undefined) differences.push(`missing: ${path}`);
    else if (there !== what) differences.push(`differs: ${path} (${short(there)}, expected ${short(what)})`);
  }
  for (const path of found.keys()) if (!expected.has(path)) differences.push(`not expected: ${path}`);
  if (differences.length === 0) return;
  const more = differences.length > 10 ? `\n  and ${differences.length - 10} more` : "";
  throw new CheckFailed(`${where} is not what it has to be:\n  ${differences.slice(0, 10).join("\n  ")}${more}`);
}

async function digest(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

function short(what: string): string {
  return what.slice(0, 20);
}
