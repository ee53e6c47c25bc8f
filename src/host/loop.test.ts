import assert from "node:assert/strict";
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { run } from "./command.ts";
import { refusesWrites, setReadOnly } from "./device-writes.ts";
import { isLocked } from "./locks.ts";
import { attachLoop, BackingBusy, detachLoop, setCapacity } from "./loop.ts";
import { findLoops, freeLoops, listLoops, loopFile, loopStatus } from "./loop-status.ts";
import { fileSystemNumber, mountAt, openMountAt } from "./mount-at.ts";
import { mountsOf, propagation } from "./mount-table.ts";
import { bind, mountDetached, mountFilesystem, unmount } from "./mounts.ts";
import { makeTargetDirectory, makeTargetFile, openCached, removeTarget, TargetPlace } from "./paths.ts";
import { deviceSize } from "./stats.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-loop-"));
const at = (name: string) => join(folder, name);
after(async () => {
  for (const name of await readdir(folder)) while (await unmount(at(name)).catch(() => false));
  rmSync(folder, { recursive: true });
});
const signal = AbortSignal.timeout(20_000);

/** Whoever lists the loop devices at that moment keeps one for as long as it looks. */
async function freed(path: string): Promise<boolean> {
  for (let i = 0; i < 200; i++) {
    if (!(await isLocked(path))) return true;
    await delay(5);
  }
  return false;
}

async function image(name: string, bytes: number): Promise<string> {
  writeFileSync(at(name), "");
  truncateSync(at(name), bytes);
  return at(name);
}

test("one opener, a device that goes with its last one", async () => {
  const path = await image("a.img", 8 << 20);
  const file = await stat(path, { bigint: true });
  const loop = await attachLoop({ path, autoclear: true });
  await assert.rejects(attachLoop({ path, autoclear: true }), BackingBusy);
  assert.equal(await isLocked(path), true);
  assert.deepEqual(await findLoops(file), [loop.number]);
  const status = await loopStatus(loop.number);
  assert.equal(status?.ino, file.ino);
  // What was noted at the attachment is what the device itself says.
  const noted = await loopFile(loop.number);
  assert.deepEqual([noted?.dev, noted?.ino], [status?.dev, status?.ino]);
  assert.equal(status?.autoclear, true);
  assert.ok(path.endsWith(status?.name ?? "-"));
  loop.close();
  loop.close();
  assert.ok(await freed(path));
  assert.deepEqual(await findLoops(file), []);
});

test("another's device whose own disk does not answer holds nobody who looks for a file's device", async (t) => {
  const disk = await attachLoop({ path: await image("disk.img", 64 << 20), autoclear: true });
  await run("mkfs.ext4", ["-q", disk.device]);
  const frozen = at("frozen");
  mkdirSync(frozen);
  await mountFilesystem({ device: disk.device, target: frozen, fsType: "ext4", readonly: false, flags: [], signal });
  disk.close();
  writeFileSync(join(frozen, "theirs.img"), Buffer.alloc(1 << 20));
  const stranger = (await run("losetup", ["--find", "--show", "--partscan", join(frozen, "theirs.img")])).stdout.trim();
  const ours = await attachLoop({ path: await image("ours.img", 8 << 20), autoclear: true });
  const file = await stat(at("ours.img"), { bigint: true });
  await run("fsfreeze", ["--freeze", frozen]);
  // The look at its partitions waits for what was written, and whoever opens the device waits for that look.
  const writing = `exec 3<>${stranger}; dd if=/dev/zero bs=4096 count=1 >&3; blockdev --rereadpt ${stranger}`;
  const writer = run("sh", ["-c", writing]);
  t.after(async () => {
    await run("fsfreeze", ["--unfreeze", frozen]);
    await writer;
    await run("losetup", ["--detach", stranger]);
    await unmount(frozen);
  });
  await delay(200);
  const began = performance.now();
  assert.deepEqual(await findLoops(file), [ours.number]);
  assert.ok(performance.now() - began < 5000);
  assert.deepEqual(await findLoops(file), [ours.number]);
  assert.ok((await listLoops()).some(({ number }) => number === ours.number));
  ours.close();
});

test("a device that stays until it is detached, and says when it is still open", async () => {
  const path = await image("b.img", 8 << 20);
  const file = await stat(path, { bigint: true });
  const loop = await attachLoop({ path, autoclear: false, readonly: true });
  loop.close();
  assert.equal((await loopStatus(loop.number))?.readonly, true);
  assert.equal(await detachLoop(loop.number, { dev: file.dev, ino: file.ino + 1n }), "gone");
  assert.equal((await findLoops(file)).length, 1, "another file's detach leaves it");
  const user = openSync(loop.device, constants.O_RDONLY);
  assert.equal(await detachLoop(loop.number, file), "open");
  closeSync(user);
  assert.equal(await detachLoop(loop.number, file), "gone");
  assert.deepEqual(await findLoops(file), []);
  assert.ok((await freeLoops()) >= 1);
  assert.ok((await listLoops()).every((l) => l.ino !== file.ino || l.dev !== file.dev));
});

test("a number that refused writes takes them again, for us and for whoever gets it next", async () => {
  const path = await image("refusing.img", 4 << 20);
  const first = await attachLoop({ path, autoclear: false });
  const file = await stat(path, { bigint: true });
  first.close();
  await setReadOnly(first.device, true);
  assert.equal(refusesWrites(first.number), true);
  assert.equal(await detachLoop(first.number, file), "gone");
  assert.equal(refusesWrites(first.number), false);
  // One that went without us: nobody took it back. Others may get the number before we do, so it is tried more than once.
  for (let round = 0; round < 5; round += 1) {
    const left = await attachLoop({ path, autoclear: true });
    await setReadOnly(left.device, true);
    left.close();
    assert.ok(await freed(path));
    const taken = [];
    do {
      const each = await attachLoop({ path: await image(`taken-${taken.length}.img`, 4 << 20), autoclear: true });
      taken.push(each);
      assert.equal(refusesWrites(each.number), false);
    } while (taken.at(-1)?.number !== left.number && taken.length < 40);
    const again = taken.at(-1)?.number === left.number;
    for (const each of taken) each.close();
    for (const at of taken.keys()) assert.ok(await freed(join(folder, `taken-${at}.img`)));
    if (again) return;
  }
  assert.fail("the number was never given again");
});

test("twenty at once get twenty devices; growth in place; a symlink is refused", async () => {
  const paths = await Promise.all(Array.from({ length: 20 }, (_, i) => image(`many-${i}`, 4 << 20)));
  const loops = await Promise.all(paths.map((path) => attachLoop({ path, autoclear: true })));
  assert.equal(new Set(loops.map((l) => l.number)).size, 20);
  const [first] = loops;
  assert.ok(first);
  truncateSync(paths[0] ?? "", 8 << 20);
  await setCapacity(first.number);
  assert.equal(await deviceSize(first.device), 8 << 20);
  for (const loop of loops) loop.close();
  symlinkSync(paths[0] ?? "", at("link"));
  await assert.rejects(attachLoop({ path: at("link"), autoclear: true }), { code: "ELOOP" });
});

test("a file system is mounted, bound read-only, and its device goes with the last unmount", async () => {
  const path = await image("c.img", 16 << 20);
  const loop = await attachLoop({ path, autoclear: true });
  await run("mkfs.ext4", ["-q", loop.device], { signal });
  const options = { device: loop.device, fsType: "ext4" };
  for (const name of ["stage", "pub"]) closeSync(await makeTargetDirectory(at(name)));
  assert.equal(await mountAt(at("stage")), undefined);

  await assert.rejects(mountFilesystem({ ...options, target: at("stage"), flags: ["nonsense=1"] }), (e: Error) => {
    assert.match(e.message, /nonsense.*EINVAL.*[Uu]nknown parameter/);
    return true;
  });
  await assert.rejects(mountFilesystem({ ...options, fsType: "nofs", target: at("stage") }), { code: "ENODEV" });
  await assert.rejects(mountFilesystem({ ...options, fsType: "xfs", target: at("stage") }), { code: "EINVAL" });

  await mountFilesystem({ ...options, target: at("stage"), flags: ["noatime", "nosuid", "discard"] });
  loop.close();
  const stage = await mountAt(at("stage"));
  assert.equal(stage?.fsType, "ext4");
  assert.equal(stage?.root, "/");
  assert.deepEqual([stage?.major, stage?.minor], [7, loop.number]);
  assert.deepEqual(stage?.flags, ["noatime", "nosuid"]);
  assert.equal(stage?.readonly, false);
  assert.ok(stage);
  assert.equal((await mountsOf(stage)).length, 1);

  let told: ReturnType<typeof fileSystemNumber>;
  const attached = (fd: number) => {
    told = fileSystemNumber(fd);
  };
  const flags = ["relatime", "suid", "noexec", "rw"];
  await bind({ source: at("stage"), target: at("pub"), flags, readonly: true, attached });
  assert.ok(told === undefined || (told.major === stage.major && told.minor === stage.minor));
  assert.deepEqual((await mountAt(at("pub")))?.flags, ["noexec", "ro"]);
  const pub = await mountAt(at("pub"));
  assert.equal(pub?.readonly, true);
  assert.throws(() => writeFileSync(at("pub/x"), ""), { code: "EROFS" });

  // What was looked at is what is bound, whatever its path leads to by then.
  const seen = await openMountAt(at("stage"));
  assert.deepEqual(seen.mount, await mountAt(at("stage")));
  closeSync(await makeTargetDirectory(at("copy")));
  await bind({ source: at("none"), from: seen.fd, target: at("copy") });
  closeSync(seen.fd);
  assert.deepEqual((await mountAt(at("copy")))?.inode, stage.inode);
  assert.equal(await unmount(at("copy")), true);
  const plain = await openMountAt(at("copy"));
  assert.equal(plain.mount, undefined);
  closeSync(plain.fd);
  symlinkSync(at("stage"), at("way"));
  await assert.rejects(openMountAt(at("way")), { code: "ELOOP" });
  assert.equal(await mountAt(at("way")), undefined);
  await assert.rejects(mountAt(at("none")), { code: "ENOENT" });
  writeFileSync(at("stage/x"), "");
  await assert.rejects(bind({ source: at("stage"), target: at("pub"), flags: ["discard"] }), { code: "EINVAL" });

  await assert.rejects(removeTarget(at("pub")), { code: "EBUSY" });
  assert.equal(await unmount(at("pub")), true);
  assert.equal(await unmount(at("pub")), false);
  const open = openSync(at("stage/x"), "r");
  await assert.rejects(unmount(at("stage")), { code: "EBUSY" });
  closeSync(open);
  assert.equal(await unmount(at("stage")), true);
  assert.ok(await freed(path));

  const again = await attachLoop({ path, autoclear: true });
  const hidden = await mountDetached({ ...options, device: again.device });
  again.close();
  assert.deepEqual(await readdir(hidden.path), ["lost+found", "x"]);
  assert.equal(await isLocked(path), true);
  await hidden.close();
  assert.ok(await freed(path));
});

test("a device node is bound to a file", async () => {
  const path = await image("d.img", 4 << 20);
  const loop = await attachLoop({ path, autoclear: true });
  closeSync(await makeTargetFile(at("node")));
  await bind({ source: loop.device, target: at("node"), readonly: true });
  const mount = await mountAt(at("node"));
  assert.equal(mount?.root, `/loop${loop.number}`);
  assert.deepEqual(mount?.device, { major: 7, minor: loop.number });
  assert.equal(mount?.readonly, true);
  assert.equal(await unmount(at("node")), true);
  loop.close();
  await removeTarget(at("node"));
  await removeTarget(at("node"));
});

test("targets: no symlinks, no missing parents, nothing recursive", async () => {
  mkdirSync(at("real"));
  symlinkSync(at("real"), at("alias"));
  await assert.rejects(makeTargetDirectory(at("alias/t")), { code: "ELOOP" });
  await assert.rejects(makeTargetDirectory(at("alias")), { code: "ELOOP" });
  await assert.rejects(makeTargetFile(at("alias")), { code: "ELOOP" });
  await assert.rejects(makeTargetDirectory(at("none/t")), { code: "ENOENT" });
  await assert.rejects(makeTargetFile(at("real")), { code: "EISDIR" });
  closeSync(await makeTargetDirectory(at("real/t")));
  closeSync(await makeTargetDirectory(at("real/t")));
  // What the kernel has just looked at is opened at once; what is not there, or is refused, is left to whoever may wait.
  const known = openCached(at("real/t"), constants.O_DIRECTORY);
  assert.ok(known !== undefined);
  closeSync(known);
  assert.equal(openCached(at("real/none"), constants.O_DIRECTORY), undefined);
  const place = new TargetPlace(at("real/t2"));
  const made = await place.make("directory");
  assert.ok(made !== undefined);
  closeSync(made);
  assert.equal(await place.make("directory"), undefined);
  assert.equal(await place.make("file"), undefined);
  assert.equal(await place.removeEmptyDirectory(), true);
  assert.equal(await place.removeEmptyDirectory(), false);
  await place.close();
  await assert.rejects(removeTarget(at("real")), { code: "ENOTEMPTY" });
  assert.equal(await unmount(at("alias")), false);
  assert.equal(await unmount(at("none")), false);
  assert.ok(["shared", "slave", "private"].includes(await propagation(folder)));
});
