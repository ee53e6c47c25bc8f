import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { lockFile } from "../host/locks.ts";
import { HalfMade } from "./half-made.ts";
import { discardAside, listAside, makeAside } from "./shelf.ts";

const key = "0123456789abcdef0123456789abcdef";

async function poolOf(t: TestContext, shared: boolean) {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-test-"));
  for (const name of ["building", "locks"]) await mkdir(join(folder, name));
  const own = new Set<string>();
  const halfMade = new HalfMade({
    folder,
    shared,
    inventory: { isOwn: (path) => own.has(path), reclaimed: () => undefined },
    lockPath: (kind, each) => join(folder, "locks", `${kind}-${each}`),
    discard: discardAside,
  });
  t.after(async () => {
    await halfMade.stop();
    await rm(folder, { recursive: true });
  });
  const aside = (kind: string) => makeAside(folder, kind, key, 4096);
  return { halfMade, own, aside, left: () => listAside(folder, "building"), lock: join(folder, "locks") };
}

for (const shared of [false, true]) {
  test(`what another server leaves while this one runs goes ${shared ? "in a shared pool" : "at the next start in a local one"}`, async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { halfMade, aside, left } = await poolOf(t, shared);
    await halfMade.clear();
    await aside("volume");
    for (let minutes = 0; minutes < 3; minutes += 1) {
      t.mock.timers.tick(60_000);
      for (let turns = 0; turns < 1_000 && (await left()).length > 0; turns += 1) await turn();
    }
    assert.equal((await left()).length, shared ? 0 : 1);
  });
}

test("what this process builds, or has failed to remove, is left to it, and so is what is locked", async (t) => {
  const { halfMade, own, aside, left, lock } = await poolOf(t, false);
  const mine = await aside("volume");
  own.add(mine.path);
  await aside("snapshot");
  const held = await lockFile(join(lock, `snapshot-${key}`));
  assert.ok("release" in held);
  await halfMade.clear();
  assert.deepEqual((await left()).map(({ kind }) => kind).sort(), ["snapshot", "volume"]);
  await held.release();
  await halfMade.clear();
  assert.deepEqual(await left(), [mine]);
});
