/** A stage note that was lost and is back: the volume is mounted at a second staging path, of which the note says nothing. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { mountsUnder } from "../support/leftovers.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { call, mounted, openRules, type Rules } from "../support/rules.ts";
import { run } from "../support/run.ts";
import { type Scratch, scratchFor } from "../support/scratch.ts";

interface Scene {
  readonly rules: Rules;
  readonly id: string;
  readonly first: string;
  readonly target: string;
  readonly second: string;
  /** What is mounted below the scratch folder, but the pool. */
  mounts(): string[];
  release(): Promise<void>;
}

/** Staged at `first` and published at `target`, as the note says; staged at `second` too, while there was no note. */
async function twiceStaged(scratch: Scratch, pool: string, shared: boolean, under = "."): Promise<Scene> {
  const rules = await openRules(scratch, pool, { backend: "directory", shared });
  const { id } = await rules.create("a");
  const about = { id, nodeId: "n1" };
  const { controller } = rules.driver;
  if (shared) {
    await controller.attach({ ...about, capability: mounted, readonly: false, context: {} }, call("attach"));
  }
  const [first, second] = [rules.folder(join(under, "first")), rules.folder(join(under, "second"))];
  const target = join(rules.folder(join(under, "t")), "m");
  await rules.stage(id, first);
  await rules.publish(id, first, target);
  writeFileSync(join(target, "data"), "precious");
  const [note = ""] = rules.recordsOf();
  await rename(note, `${note}.kept`);
  await rules.stage(id, second);
  await rename(`${note}.kept`, note);
  return {
    rules,
    id,
    first,
    target,
    second,
    mounts: () => mountsUnder(scratch.path).filter((path) => path !== pool),
    async release() {
      assert.equal(readFileSync(join(target, "data"), "utf8"), "precious");
      await rules.unpublish(id, target);
      await rules.unstage(id, first);
      if (shared) await controller.detach(about, call("detach"));
      await rules.remove(id);
    },
  };
}

for (const [kind, shared] of [
  ["btrfs", false],
  ["ext4", false],
  ["xfs", true],
] as const) {
  test(`a second stage on ${kind}${shared ? ", shared," : ""} ends with its unstage, and nothing else does`, async (t) => {
    const scratch = scratchFor(t);
    const { path } = await makePoolDisk(scratch, kind);
    const scene = await twiceStaged(scratch, path, shared);
    const { rules, id, first, second, target } = scene;
    assert.deepEqual(scene.mounts().sort(), [first, second, target].sort());
    for (let times = 0; times < 2; times += 1) {
      await rules.unstage(id, second);
      assert.deepEqual(scene.mounts().sort(), [first, target].sort());
    }
    // A publication is never ended by an unstage.
    await rules.unstage(id, target);
    await rules.unstage(id, join(scratch.path, "none"));
    assert.deepEqual(scene.mounts().sort(), [first, target].sort());
    await scene.release();
  });
}

test("what else is mounted at such a path stays", async (t) => {
  const scratch = scratchFor(t);
  const { path } = await makePoolDisk(scratch, "btrfs");
  const scene = await twiceStaged(scratch, path, false);
  const { rules, id, second, first, target } = scene;
  const other = await rules.create("b");
  const [elsewhere, inside] = [rules.folder("elsewhere"), rules.folder("inside")];
  await rules.stage(other.id, elsewhere);
  mkdirSync(join(target, "within"));
  await run("mount", ["--bind", join(target, "within"), inside]);
  for (const place of [elsewhere, inside]) await rules.unstage(id, place);
  assert.deepEqual(scene.mounts().sort(), [elsewhere, first, inside, second, target].sort());
  await run("umount", [inside]);
  await rm(join(target, "within"), { recursive: true });
  await rules.unstage(id, second);
  await rules.unstage(other.id, elsewhere);
  await rules.remove(other.id);
  await scene.release();
});

test("an image volume is staged once: whoever mounts it at another path keeps that mount", async (t) => {
  const scratch = scratchFor(t);
  const rules = await openRules(scratch, (await makePoolDisk(scratch, "xfs")).path);
  const { id } = await rules.create("a");
  const [staging, own] = [rules.folder("s"), rules.folder("own")];
  await rules.stage(id, staging);
  await run("mount", ["--bind", staging, own]);
  await rules.unstage(id, own);
  assert.ok(mountsUnder(scratch.path).includes(own));
  await run("umount", [own]);
  await rules.unstage(id, staging);
  await rules.remove(id);
});

test("a path at which the mounts of the staging path are seen again, by propagation, is not taken for a second stage", async (t) => {
  const scratch = scratchFor(t);
  const { path } = await makePoolDisk(scratch, "btrfs");
  const [base, mirror] = ["base", "mirror"].map((name) => join(scratch.path, name)) as [string, string];
  for (const folder of [base, mirror]) mkdirSync(folder);
  await run("mount", ["-t", "tmpfs", "none", base]);
  scratch.later(async () => void (await run("umount", [base])));
  await run("mount", ["--make-shared", base]);
  await run("mount", ["--bind", base, mirror]);
  scratch.later(async () => void (await run("umount", [mirror])));
  const scene = await twiceStaged(scratch, path, false, "base");
  const { rules, id, first, target, second } = scene;
  const seen = (place: string) => place.replace(base, mirror);
  const before = scene.mounts().sort();
  assert.ok([first, target, second].every((place) => before.includes(seen(place))));
  for (const place of [first, target]) await rules.unstage(id, seen(place));
  assert.deepEqual(scene.mounts().sort(), before);
  await rules.unstage(id, second);
  assert.deepEqual(
    scene.mounts().sort(),
    before.filter((place) => place !== second && place !== seen(second)),
  );
  await scene.release();
});
