/** What a layer of the image holds, by its path without a leading slash. Owner and times are the same for all. */
import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";

export type Entry =
  | { readonly kind: "folder"; readonly mode?: number }
  /** `target` as it is written in the link. */
  | { readonly kind: "link"; readonly target: string }
  /** `content`: the bytes, or the path of a file on this machine. */
  | { readonly kind: "file"; readonly executable: boolean; readonly content: Buffer | string };

export type Tree = Map<string, Entry>;

/** Adds a text that anybody may read. */
export function addText(tree: Tree, path: string, text: string): void {
  tree.set(path, { kind: "file", executable: false, content: Buffer.from(text) });
}

/** Adds what lies at `from` on this machine; a folder without its content. Of the mode only "executable" is kept. */
export function addCopy(tree: Tree, path: string, from: string): void {
  const stat = lstatSync(from);
  if (stat.isSymbolicLink()) tree.set(path, { kind: "link", target: readlinkSync(from) });
  else if (stat.isDirectory()) tree.set(path, { kind: "folder" });
  else if (stat.isFile()) tree.set(path, { kind: "file", executable: (stat.mode & 0o100) !== 0, content: from });
  else throw new Error(`${from}: neither a file, a folder nor a link`);
}

/** Adds the files and links below `from` whose path, relative to it, `keep` takes; it is also asked about folders. */
export function addBelow(tree: Tree, path: string, from: string, keep: (relative: string) => boolean): void {
  const walk = (relative: string) => {
    for (const item of readdirSync(join(from, relative), { withFileTypes: true })) {
      const below = join(relative, item.name);
      if (!keep(below)) continue;
      if (item.isDirectory()) walk(below);
      else addCopy(tree, join(path, below), join(from, below));
    }
  };
  walk("");
}

/** Every entry with the folders that it lies in, in the order of their paths: a folder comes before its content. */
export function inOrder(tree: Tree): [string, Entry][] {
  const whole = new Map(tree);
  for (const path of tree.keys()) {
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
      const folder = path.slice(0, end);
      if (!whole.has(folder)) whole.set(folder, { kind: "folder" });
    }
  }
  return [...whole].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The bytes of its files, as `du --apparent-size` counts them without folders. */
export function bytesOf(tree: Tree): number {
  let sum = 0;
  for (const entry of tree.values()) {
    if (entry.kind !== "file") continue;
    sum += typeof entry.content !== "string" ? entry.content.length : lstatSync(entry.content).size;
  }
  return sum;
}
