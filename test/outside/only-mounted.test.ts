import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { holdfast } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { run } from "../support/run.ts";
import { scratchFor } from "../support/scratch.ts";

test("pool init --only-mounted: a disk's own mount, also where it is bound for a container; never a folder of the root disk", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const [plain = "", bound = "", seen = ""] = ["plain", "bound", "seen"].map((name) => {
    const folder = join(scratch.path, name);
    mkdirSync(folder);
    return folder;
  });
  const bind = async (from: string, to: string) => {
    await run("mount", ["--bind", from, to]);
    scratch.later(async () => {
      await run("umount", [to]);
    });
  };
  const init = (folder: string, ...more: string[]) =>
    run(holdfast, ["pool", "init", folder, "--node-id", "n1", "--only-mounted", ...more]);
  const isPool = (folder: string) => existsSync(join(folder, "holdfast.json"));

  await bind(plain, bound);
  for (const folder of [plain, bound]) {
    assert.match(await init(folder), /no disk of its own is mounted there, so it was not made a pool/);
    assert.equal(isPool(folder), false);
  }
  mkdirSync(join(disk.path, "folder"));
  assert.match(await init(join(disk.path, "folder")), /not made a pool/);
  await run("rmdir", [join(disk.path, "folder")]);

  await bind(disk.path, seen);
  assert.match(await init(seen), /uuid/i);
  assert.ok(isPool(disk.path));
  // What is a pool is one, wherever it lies.
  await run(holdfast, ["pool", "init", plain, "--node-id", "n1"]);
  assert.match(await init(plain), /uuid/i);
});
