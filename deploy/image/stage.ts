/** Lays the program and its Node into a folder, as they lie in the image: stage.ts FOLDER. For deploy/Dockerfile. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { arch, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { nodeTree, programTree } from "./program.ts";
import { inOrder } from "./tree.ts";

const target = process.argv[2];
if (target === undefined) throw new Error("usage: stage.ts FOLDER");
const repository = join(import.meta.dirname, "../..");
const scratch = mkdtempSync(join(tmpdir(), "holdfast-image-"));
const architecture = arch() === "arm64" ? "arm64" : "amd64";
for (const tree of [nodeTree(repository, architecture), programTree(repository, scratch)]) {
  for (const [path, entry] of inOrder(tree)) {
    const to = join(target, path);
    mkdirSync(dirname(to), { recursive: true });
    if (entry.kind === "folder") mkdirSync(to, { recursive: true });
    else if (entry.kind === "link") symlinkSync(entry.target, to);
    else if (typeof entry.content !== "string") writeFileSync(to, entry.content);
    else cpSync(entry.content, to);
  }
}
rmSync(scratch, { recursive: true });
