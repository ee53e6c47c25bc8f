/** Nothing is frozen, unmounted or removed but what the call is about, wherever somebody else put what. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { makePoolDisk } from "../support/pool-disk.ts";
import { openRules, problem } from "../support/rules.ts";
import { run } from "../support/run.ts";
import { scratchFor } from "../support/scratch.ts";

test("a volume whose staging path is covered by another file system is frozen itself, not that one", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const cover = await makePoolDisk(scratch, "ext4");
  const rules = await openRules(scratch, disk.path);
  const { id } = await rules.create("a");
  const staging = rules.folder("s");
  const target = join(rules.folder("t"), "m");
  await rules.stage(id, staging);
  await run("mount", ["--bind", cover.path, staging]);
  scratch.later(() =>
    run("umount", [staging]).then(
      () => undefined,
      () => undefined,
    ),
  );
  // Nowhere to be reached: then it is not frozen at all, and no cut passes for one of a frozen file system.
  await assert.rejects(rules.snapshot("one", id), problem("SOURCE_NOT_READY"));
  await run("umount", [staging]);
  await rules.publish(id, staging, target);
  await run("mount", ["--bind", cover.path, staging]);
  await rules.snapshot("two", id);
  writeFileSync(join(cover.path, "moves"), "");
  writeFileSync(join(target, "moves"), "");
  await run("umount", [staging]);
  await rules.unpublish(id, target);
  await rules.unstage(id, staging);
});

test("a target path that leads through a symlink is left alone", async (t) => {
  const scratch = scratchFor(t);
  const rules = await openRules(scratch, (await makePoolDisk(scratch, "xfs")).path);
  const { id } = await rules.create("a");
  const elsewhere = rules.folder("elsewhere");
  mkdirSync(join(elsewhere, "empty"));
  writeFileSync(join(elsewhere, "file"), "");
  symlinkSync(elsewhere, join(scratch.path, "link"));
  const staging = rules.folder("s");
  await rules.stage(id, staging);
  for (const name of ["empty", "file"]) {
    await assert.rejects(rules.unpublish(id, join(scratch.path, "link", name)), problem("FIELD_INVALID"));
    assert.ok(existsSync(join(elsewhere, name)));
  }
  await assert.rejects(rules.publish(id, staging, join(scratch.path, "link", "new")), problem("FIELD_INVALID"));
  await rules.unstage(id, staging);
});
