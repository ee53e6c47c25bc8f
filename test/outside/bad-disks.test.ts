/** A pool's disk that is full, gone or read-only, and a volume's own file system that has shut down. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makePoolDisk } from "../support/pool-disk.ts";
import { mebibyte, mounted, openRules, problem, raw } from "../support/rules.ts";
import { attempt, run } from "../support/run.ts";
import { scratchFor } from "../support/scratch.ts";

for (const kind of ["xfs", "ext4", "btrfs"] as const) {
  test(`on a full ${kind} pool pods end, volumes go, and nothing half-made stays`, async (t) => {
    const scratch = scratchFor(t);
    const disk = await makePoolDisk(scratch, kind, { bytes: 512 * mebibyte });
    const rules = await openRules(scratch, disk.path, { options: { size: 1024 * mebibyte } });
    const a = await rules.create("a");
    const b = await rules.create("b", raw);
    const staging = rules.folder("s");
    const target = join(rules.folder("t"), "m");
    const rawStaging = rules.folder("rs");
    const rawTarget = join(rules.folder("t"), "b");
    await rules.stage(a.id, staging);
    await rules.publish(a.id, staging, target);
    await rules.stage(b.id, rawStaging, raw);
    await rules.publish(b.id, rawStaging, rawTarget, raw);
    const filler = join(disk.path, "filler");
    await attempt("dd", ["if=/dev/zero", `of=${filler}`, "bs=1M"]);
    await attempt("dd", ["if=/dev/zero", `of=${filler}`, "bs=4k", "oflag=append,sync", "conv=notrunc"]);
    for (let n = 0; n < 20_000; n++) {
      try {
        writeFileSync(join(disk.path, `filler-${n}`), Buffer.alloc(n % 3));
      } catch {
        break;
      }
    }
    // What needs space is refused as such, and leaves nothing.
    for (let n = 0; n < 3; n++) {
      const made = await rules.create(`c${n}`).then(
        (view) => rules.remove(view.id),
        (error: unknown) => assert.ok(problem("POOL_FULL")(error)),
      );
      assert.equal(made ?? undefined, undefined);
    }
    assert.deepEqual(readdirSync(join(disk.path, "building")), []);
    await rules.unpublish(a.id, target);
    await rules.unstage(a.id, staging);
    await rules.unpublish(b.id, rawTarget);
    await rules.unstage(b.id, rawStaging);
    await rules.remove(a.id);
    for (const name of readdirSync(disk.path).filter((each) => each.startsWith("filler")))
      rmSync(join(disk.path, name));
    await rules.stage(b.id, rawStaging, raw);
    await rules.unstage(b.id, rawStaging);
    await rules.remove(b.id);
    await rules.create("c0");
  });
}

test("a volume whose file system has shut down is unpublished, unstaged and staged again", async (t) => {
  const scratch = scratchFor(t);
  const rules = await openRules(scratch, (await makePoolDisk(scratch, "xfs")).path);
  const capability = { ...mounted, fsType: "xfs" } as const;
  const { id } = await rules.create("a", capability, { size: 320 * mebibyte });
  const staging = rules.folder("s");
  const target = join(rules.folder("t"), "m");
  await rules.stage(id, staging, capability);
  await rules.publish(id, staging, target, capability);
  writeFileSync(join(target, "data"), "precious");
  await run("sync", ["-f", target]);
  await run("xfs_io", ["-x", "-c", "shutdown -f", target]);
  await rules.unpublish(id, target);
  assert.equal(existsSync(target), false);
  await rules.unstage(id, staging);
  await rules.stage(id, staging, capability);
  assert.equal(readFileSync(join(staging, "data"), "utf8"), "precious");
  await rules.unstage(id, staging);
});

test("a pool that becomes read-only, or whose disk goes, says so; a volume of it can still be taken away", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "ext4");
  const rules = await openRules(scratch, disk.path);
  const { id } = await rules.create("a");
  // Read-only from above: the disk itself is busy while the driver runs.
  await run("mount", ["--bind", disk.path, disk.path]);
  await run("mount", ["-o", "remount,bind,ro", disk.path]);
  await assert.rejects(rules.create("b"), problem("POOL_UNAVAILABLE"));
  await assert.rejects(rules.snapshot("s", id), problem("POOL_UNAVAILABLE"));
  await assert.rejects(rules.expand(id, 128 * mebibyte), problem("POOL_UNAVAILABLE"));
  await assert.rejects(rules.stage(id, rules.folder("s")), problem("POOL_UNAVAILABLE"));
  await run("umount", [disk.path]);
  await rules.stage(id, rules.folder("s"));
  await rules.unstage(id, rules.folder("s"));
  await run("umount", ["--lazy", disk.path]);
  await assert.rejects(rules.create("b"), problem("POOL_UNAVAILABLE"));
  await assert.rejects(rules.remove(id), problem("POOL_UNAVAILABLE"));
  await assert.rejects(rules.stage(id, rules.folder("s")), problem("POOL_UNAVAILABLE"));
  await assert.rejects(rules.unstage(id, rules.folder("s")), problem("POOL_UNAVAILABLE"));
  await rules.driver.stop(1_000);
  await run("mount", ["-o", "loop", disk.image, disk.path]);
  const again = await openRules(scratch, disk.path);
  await again.remove(id);
});

test("a pool whose disk comes after the start is tidied then; a note that a power cut cut short is none", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const first = await openRules(scratch, disk.path);
  const { id } = await first.create("a");
  const staging = first.folder("s");
  await first.stage(id, staging);
  await first.unstage(id, staging);
  await first.driver.stop(1_000);
  const half = join(disk.path, "building", `volume-${"0".repeat(32)}-0123456789ab-4096`);
  mkdirSync(half);
  const [node = ""] = readdirSync(join(disk.path, "nodes"));
  const key = basename(first.folderOf("a"));
  writeFileSync(join(disk.path, "nodes", node, `${key}.json`), '{"version":1,"boot');
  await disk.unmount();
  const later = await openRules(scratch, disk.path, { initPools: false });
  later.driver.start();
  await assert.rejects(later.create("b"), problem("POOL_UNAVAILABLE"));
  await disk.mount();
  await later.stage(id, staging);
  await later.unstage(id, staging);
  for (let tries = 0; tries < 100 && existsSync(half); tries++) await sleep(20);
  assert.equal(existsSync(half), false);
  await later.driver.stop(1_000);
});
