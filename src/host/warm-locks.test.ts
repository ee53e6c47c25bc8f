import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { lockFile } from "./locks.ts";
import { WarmLocks } from "./warm-locks.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-warm-"));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "lock");

test("one that rests is free for others, has no words, and is taken again", async () => {
  const locks = new WarmLocks();
  const first = await locks.take(path);
  assert.ok("write" in first);
  first.write("mounting");
  await first.release({ last: false });
  const other = await lockFile(path);
  assert.ok("write" in other);
  assert.deepEqual(await lockFile(path), { heldBy: "" });
  other.write("deleting");
  assert.deepEqual(await locks.take(path), { heldBy: "deleting" });
  await other.release();
  const again = await locks.take(path);
  assert.ok("write" in again);
  assert.deepEqual(await lockFile(path), { heldBy: "" });
  await again.release({ last: true });
  assert.equal(existsSync(path), false);
});

test("one whose file another removed while it rested locks nobody out of the new one", async () => {
  const locks = new WarmLocks();
  const first = await locks.take(path);
  assert.ok("write" in first);
  await first.release({ last: false });
  const remover = await lockFile(path);
  assert.ok("write" in remover);
  await remover.release();
  const maker = await lockFile(path);
  assert.ok("write" in maker);
  maker.write("made anew");
  assert.deepEqual(await locks.take(path), { heldBy: "made anew" });
  await maker.release();
  await locks.end();
  assert.equal(existsSync(path), false);
});

test("one that was asked for while the other was held leaves no descriptor behind when both rest", async () => {
  const before = readdirSync("/proc/self/fd").length;
  const locks = new WarmLocks();
  for (let i = 0; i < 20; i++) {
    const first = await locks.take(path);
    assert.ok("write" in first);
    // It opens the file while the lock is held, and takes it once that rests.
    const asked = locks.take(path);
    await first.release({ last: false });
    const second = await asked;
    if ("write" in second) await second.release({ last: false });
  }
  await locks.end();
  assert.equal(readdirSync("/proc/self/fd").length, before);
  assert.equal(existsSync(path), false);
});

test("nothing stays for long, and nothing after the end", async () => {
  const locks = new WarmLocks();
  const before = readdirSync("/proc/self/fd").length;
  for (const name of ["a", "b"]) {
    const lock = await locks.take(join(folder, name));
    assert.ok("write" in lock);
    await lock.release({ last: false });
  }
  assert.deepEqual(readdirSync(folder).sort(), ["a", "b"]);
  for (let waited = 0; readdirSync(folder).length > 0 && waited < 3000; waited += 20) await delay(20);
  assert.deepEqual(readdirSync(folder), []);
  const lock = await locks.take(path);
  assert.ok("write" in lock);
  await lock.release({ last: false });
  await locks.end();
  assert.deepEqual(readdirSync(folder), []);
  assert.equal(readdirSync("/proc/self/fd").length, before);
});

test("many at once, of several processes: never two holders", async () => {
  const several = [new WarmLocks(), new WarmLocks(), new WarmLocks()];
  let holders = 0;
  let taken = 0;
  const caller = async (n: number) => {
    for (let i = 0; i < 60; i++) {
      const warm = several[n % several.length];
      const lock = warm && n % 4 !== 3 ? await warm.take(path) : await lockFile(path);
      if (!("write" in lock)) {
        await delay(Math.random() * 2);
        continue;
      }
      assert.equal(++holders, 1);
      taken++;
      await new Promise(setImmediate);
      holders--;
      await lock.release({ last: i % 7 === 0 });
      if (i % 13 === 0) await warm?.end();
    }
  };
  await Promise.all(Array.from({ length: 12 }, (_, n) => caller(n)));
  assert.ok(taken > 50);
  for (const each of several) await each.end();
  for (let waited = 0; existsSync(path) && waited < 1000; waited += 10) await delay(10);
  assert.equal(existsSync(path), false);
});
