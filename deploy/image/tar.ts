/**
 * A tar archive whose bytes follow from the tree alone: entries in the order of their paths, root as the owner, one time
 * for all, the plain POSIX format (pax "ustar", IEEE Std 1003.1, pax, "ustar Interchange Format").
 */
import { createReadStream, statSync } from "node:fs";
import { type Entry, inOrder, type Tree } from "./tree.ts";

const block = 512;
/** What GNU tar fills an archive up to. */
const record = 20 * block;

/** `seconds` since 1970 is the time of every entry. */
export async function* tar(tree: Tree, seconds: number): AsyncGenerator<Buffer> {
  let written = 0;
  for (const [path, entry] of inOrder(tree)) {
    const size = sizeOf(entry);
    yield header(path, entry, size, seconds);
    if (entry.kind === "file") yield* contentOf(entry, path, size);
    const padding = -size & (block - 1);
    if (padding > 0) yield Buffer.alloc(padding);
    written += block + size + padding;
  }
  // Two empty blocks end it.
  const end = written + 2 * block;
  yield Buffer.alloc(2 * block + (Math.ceil(end / record) * record - end));
}

async function* contentOf(entry: Extract<Entry, { kind: "file" }>, path: string, size: number): AsyncGenerator<Buffer> {
  if (typeof entry.content !== "string") return yield entry.content;
  let read = 0;
  for await (const chunk of createReadStream(entry.content, { highWaterMark: 1 << 20 })) {
    read += chunk.length;
    yield chunk;
  }
  if (read !== size) throw new Error(`${path}: changed while it was read`);
}

function sizeOf(entry: Entry): number {
  if (entry.kind !== "file") return 0;
  return typeof entry.content !== "string" ? entry.content.length : statSync(entry.content).size;
}

const types = { file: "0", link: "2", folder: "5" } as const;

function modeOf(entry: Entry): number {
  if (entry.kind === "link") return 0o777;
  if (entry.kind === "folder") return entry.mode ?? 0o755;
  return entry.executable ? 0o755 : 0o644;
}

function header(path: string, entry: Entry, size: number, seconds: number): Buffer {
  const head = Buffer.alloc(block);
  const [prefix, name] = split(entry.kind === "folder" ? `${path}/` : path);
  const octal = (value: number, offset: number, length: number) =>
    head.write(value.toString(8).padStart(length - 1, "0"), offset, "ascii");
  head.write(name, 0);
  octal(modeOf(entry), 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(seconds, 136, 12);
  head.write(types[entry.kind], 156);
  if (entry.kind === "link") {
    if (Buffer.byteLength(entry.target) > 100) throw new Error(`${path}: the link's target is too long for a tar`);
    head.write(entry.target, 157);
  }
  head.write("ustar\x0000", 257);
  head.write(prefix, 345);
  // The checksum is taken with blanks in its own place.
  head.write(" ".repeat(8), 148);
  octal(
    head.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  head[154] = 0;
  return head;
}

/** Where a path is too long for the name (100 bytes), its beginning goes to the prefix (155 bytes), cut at a slash. */
function split(path: string): [string, string] {
  if (Buffer.byteLength(path) <= 100) return ["", path];
  for (let cut = path.indexOf("/"); cut > 0; cut = path.indexOf("/", cut + 1)) {
    const [prefix, name] = [path.slice(0, cut), path.slice(cut + 1)];
    if (Buffer.byteLength(name) <= 100 && name !== "" && Buffer.byteLength(prefix) <= 155) return [prefix, name];
  }
  throw new Error(`${path}: too long for a tar`);
}
