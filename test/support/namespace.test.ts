import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { letGoOfOthers } from "./namespace.ts";
import { run } from "./run.ts";
import { scratchFor } from "./scratch.ts";

test("a namespace that lets go of others' mounts keeps its own test's, and everybody else keeps theirs", async (t) => {
  const scratch = scratchFor(t);
  const other = mkdtempSync(join(tmpdir(), "holdfast-other-"));
  const [own, inner] = [join(scratch.path, "own"), join(other, "inner")];
  for (const folder of [own, other]) {
    mkdirSync(folder, { recursive: true });
    await run("mount", ["-t", "tmpfs", "none", folder]);
  }
  mkdirSync(inner);
  await run("mount", ["-t", "tmpfs", "none", inner]);
  try {
    const listed = async (line: string) => {
      const text = await run("unshare", ["--mount", "sh", "-euc", `${line}\ncut -d' ' -f2 /proc/self/mounts`]);
      const targets = text.split("\n");
      return [own, other, inner].filter((each) => targets.includes(each));
    };
    assert.deepEqual(await listed(""), [own, other, inner]);
    assert.deepEqual(await listed(letGoOfOthers()), [own]);
    assert.deepEqual(await listed(""), [own, other, inner]);
  } finally {
    await run("umount", [inner]);
    await run("umount", [other]);
    await run("umount", [own]);
    rmdirSync(other);
  }
});
