import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { readdir, readFile, stat } from "./fs.ts";
import { currentShare, inRoom, inShare, Share } from "./share.ts";

/** Takes every turn of the share, as calls on a disk that does not answer do. Answers what ends it. */
function filled(share: Share): () => void {
  const ends: (() => void)[] = [];
  const hangs = () => new Promise<void>((resolve) => ends.push(resolve));
  for (const room of ["ordinary", "mayHang"] as const) {
    for (let n = 0; n < 100; n++) void inShare(share, () => inRoom(room, hangs));
  }
  return () => {
    while (ends.length > 0) for (const end of ends.splice(0)) end();
  };
}

test("a share without turns holds up its own file calls and no others, also those begun later", async () => {
  const [stuck, well] = [new Share(), new Share()];
  const folder = mkdtempSync(join(tmpdir(), "holdfast-share-"));
  try {
    writeFileSync(join(folder, "file"), "text");
    const work = async () => {
      await delay(1);
      assert.equal((await stat(join(folder, "file"))).size, 4);
      assert.equal(await readFile(join(folder, "file"), "utf8"), "text");
      return (await readdir(folder)).length;
    };
    const end = filled(stuck);
    let done = false;
    const held = inShare(stuck, work).finally(() => {
      done = true;
    });
    for (let n = 0; n < 20; n++) assert.equal(await inShare(well, work), 1);
    assert.equal(await work(), 1);
    assert.equal(done, false);
    const all = setInterval(end, 1);
    assert.equal(await held, 1);
    clearInterval(all);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("work stays in its share through waits, and a call that fails gives its turn back", async () => {
  const share = new Share();
  await inShare(share, async () => {
    for (let n = 0; n < 100; n++) await assert.rejects(stat("/not-there-at-all"), { code: "ENOENT", syscall: "stat" });
    for (let n = 0; n < 100; n++) await assert.rejects(stat("no\0path"), { code: "ERR_INVALID_ARG_VALUE" });
    await new Promise(setImmediate);
    assert.equal(currentShare(), share);
  });
  assert.notEqual(currentShare(), share);
});

test("where nothing moves nobody is let in, and who leaves is gone", async () => {
  const share = new Share();
  assert.equal(share.admitted(AbortSignal.timeout(1)), undefined);
  const end = filled(share);
  assert.equal(share.admitted(new AbortController().signal), undefined, "a short wait is no standstill");
  await delay(120);
  const gone = new AbortController();
  const refused = share.admitted(gone.signal);
  const admitted = share.admitted(new AbortController().signal);
  assert.ok(refused && admitted);
  gone.abort(new Error("left"));
  await assert.rejects(refused, /left/);
  const all = setInterval(end, 1);
  await admitted;
  clearInterval(all);
});
