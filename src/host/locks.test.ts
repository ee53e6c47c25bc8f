import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { flockStaysLocal, isLocked, keepSpareLocks, lockData, lockFile } from "./locks.ts";
import { parseMountInfo } from "./mount-table.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-locks-"));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "lock");

test("the second comer learns what the holder does", async () => {
  const lock = await lockFile(path);
  assert.ok("write" in lock);
  lock.write("formatting, a long text first");
  lock.write("mounting");
  assert.deepEqual(await lockFile(path), { heldBy: "mounting" });
  assert.equal(await isLocked(path), true);
  await lock.release();
  await lock.release();
  assert.equal(existsSync(path), false);
});

test("many at once: never two holders, though each removes the file", async () => {
  let holders = 0;
  let taken = 0;
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let i = 0; i < 20; i++) {
        const lock = await lockFile(path);
        if (!("write" in lock)) continue;
        assert.equal(++holders, 1);
        taken++;
        await new Promise(setImmediate);
        holders--;
        await lock.release();
      }
    }),
  );
  assert.ok(taken > 0);
});

test("what was let go of is free, also while a child has a copy of the descriptor", async () => {
  const data = join(folder, "data");
  writeFileSync(data, "");
  const lock = await lockData(data);
  assert.ok(lock);
  const fd = readdirSync("/proc/self/fd").find((each) => linkOf(each) === data);
  const child = spawn("sleep", ["60"], { stdio: ["ignore", "ignore", "ignore", Number(fd)] });
  try {
    assert.equal(await isLocked(data), true);
    lock.release();
    assert.equal(await isLocked(data), false);
  } finally {
    child.kill();
    await once(child, "exit");
  }
});

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return ""; // of the look itself
  }
}

test("the lock of a process that was killed is free", async () => {
  const child = spawn("flock", ["-x", path, "-c", "echo held; exec sleep 60"], { detached: true });
  await once(child.stdout, "data");
  assert.ok("heldBy" in (await lockFile(path)));
  if (child.pid) process.kill(-child.pid, "SIGKILL");
  await once(child, "exit");
  // The last of its group goes a moment after the first.
  let lock = await lockFile(path);
  for (let i = 0; i < 200 && "heldBy" in lock; i++) {
    await delay(5);
    lock = await lockFile(path);
  }
  assert.ok("write" in lock);
  await lock.release({ keep: true });
  assert.equal(existsSync(path), true);
  assert.equal(await isLocked(path), false);
});

test("a lock file that could not be removed goes a little later, unless another holds it by then", async () => {
  const lock = await lockFile(path);
  assert.ok("write" in lock);
  // Something in the way: a directory is not unlinked, and has no lock.
  renameSync(path, `${path}-moved`);
  mkdirSync(path);
  await lock.release();
  rmdirSync(path);
  renameSync(`${path}-moved`, path);
  const end = performance.now() + 5000;
  while (existsSync(path) && performance.now() < end) await delay(50);
  assert.equal(existsSync(path), false);
});

test("where flock reaches", async () => {
  assert.equal(await flockStaysLocal(folder), undefined);
});

test("mountinfo with octal escapes, no tags and several tags", () => {
  const text = [
    "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue",
    "37 35 0:41 / /b\\134\\303\\274 ro - tmpfs none ro",
  ].join("\n");
  const [a, b] = parseMountInfo(text);
  assert.equal(a?.target, "/mnt 2");
  assert.deepEqual(a?.propagation, ["master:1", "shared:7"]);
  assert.equal(b?.target, "/b\\ü");
  assert.deepEqual(b?.propagation, []);
});

test("where no file can be made any more, a spare is the lock", async () => {
  const full = join(folder, "full");
  mkdirSync(full);
  execFileSync("mount", ["-t", "tmpfs", "-o", "nr_inodes=16", "none", full]);
  try {
    await keepSpareLocks(full);
    await keepSpareLocks(full);
    for (let index = 0; index < 16; index += 1) {
      try {
        writeFileSync(join(full, `file-${index}`), "");
      } catch {
        break; // no inode is left
      }
    }
    const before = readdirSync(full).sort();
    const lock = await lockFile(join(full, "volume"));
    assert.ok("write" in lock);
    lock.write("deleting");
    assert.deepEqual(await lockFile(join(full, "volume")), { heldBy: "deleting" });
    await lock.release();
    assert.deepEqual(readdirSync(full).sort(), before);
    let holders = 0;
    await Promise.all(
      Array.from({ length: 8 }, async (_, task) => {
        for (let i = 0; i < 20; i += 1) {
          const other = await lockFile(join(full, task % 2 === 0 ? "same" : `own-${task}`));
          if (!("write" in other)) continue;
          if (task % 2 === 0) assert.equal(++holders, 1);
          await new Promise(setImmediate);
          if (task % 2 === 0) holders -= 1;
          await other.release();
        }
      }),
    );
    assert.deepEqual(readdirSync(full).sort(), before);
  } finally {
    // Lazily: whoever lists mounts at this moment holds it for an instant.
    execFileSync("umount", ["--lazy", full]);
  }
});
