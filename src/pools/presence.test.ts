import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Presence } from "./presence.ts";

async function withPool(use: (pool: string) => Promise<void>): Promise<void> {
  const pool = mkdtempSync(join(tmpdir(), "holdfast-presence-"));
  mkdirSync(join(pool, "controllers"));
  try {
    await use(pool);
  } finally {
    rmSync(pool, { recursive: true });
  }
}

for (const remote of [false, true]) {
  test(`whoever comes is seen at once, and that it was there after it went (${remote ? "remote" : "local"})`, () =>
    withPool(async (pool) => {
      const one = new Presence(pool, remote);
      let mark = await one.alone();
      assert.ok(mark !== undefined);
      // Right after a look, in the same tick of the clock, and long after.
      for (const pause of [0, 0, 1, 2, 5, 0, 130, 0, 130, 0]) {
        await delay(pause);
        assert.ok((await one.alone()) !== undefined);
        const other = new Presence(pool, remote);
        await other.announce();
        assert.equal(await one.alone(), undefined);
        assert.equal(await other.alone(), undefined);
        await delay(pause);
        assert.equal(await one.alone(), undefined);
        await other.end();
        const next = await one.alone();
        assert.ok(next !== undefined && next !== mark);
        mark = next;
      }
      await delay(130);
      assert.deepEqual([await one.alone(), await one.alone()], [mark, mark]);
      await one.end();
      assert.deepEqual(readdirSync(join(pool, "controllers")), []);
    }));
}

test("nothing stays open, and a folder that was not there is tried again", () =>
  withPool(async (pool) => {
    const before = readdirSync("/proc/self/fd").length;
    const one = new Presence(pool, false);
    rmSync(join(pool, "controllers"), { recursive: true });
    await assert.rejects(one.alone(), { code: "ENOENT" });
    mkdirSync(join(pool, "controllers"));
    assert.ok((await one.alone()) !== undefined);
    await one.end();
    assert.equal(readdirSync("/proc/self/fd").length, before);
  }));
