import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { freeze, thaw } from "./freeze.ts";
import { attachLoop } from "./loop.ts";
import { mountFilesystem, unmount } from "./mounts.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-freeze-"));
const mountPath = join(folder, "mount");
const nothing = async () => undefined;

before(async () => {
  mkdirSync(mountPath);
  const path = join(folder, "image");
  writeFileSync(path, "");
  truncateSync(path, 16 << 20);
  const loop = await attachLoop({ path, autoclear: true });
  execFileSync("mkfs.ext4", ["-q", loop.device]);
  await mountFilesystem({ device: loop.device, fsType: "ext4", target: mountPath });
  loop.close();
});
after(async () => {
  await thaw(mountPath);
  await unmount(mountPath);
  rmSync(folder, { recursive: true });
});

test("writers wait exactly as long as it is frozen; it is recorded before", async () => {
  let recorded = false;
  const frozen = await freeze({
    mountPath,
    maxMs: 5000,
    record: async () => {
      recorded = !(await thaw(mountPath));
    },
  });
  assert.ok(recorded, "not frozen yet when it was recorded");
  let written = false;
  const writing = writeFile(join(mountPath, "x"), "x").then(() => {
    written = true;
  });
  await delay(30);
  assert.equal(written, false);
  assert.equal(await frozen.thaw(), true);
  assert.equal(await frozen.thaw(), true);
  await writing;
  assert.ok(frozen.frozenMs() >= 30 && frozen.frozenMs() < 1000);
  assert.equal(await thaw(mountPath), false);
});

test("when its time is over it thaws by itself, and the holder learns it", async () => {
  const frozen = await freeze({ mountPath, maxMs: 400, record: nothing });
  await delay(1200);
  assert.equal(await thaw(mountPath), false);
  assert.equal(await frozen.thaw(), false);
});

test("a second freeze is refused and does not disturb the first", async () => {
  const frozen = await freeze({ mountPath, maxMs: 5000, record: nothing });
  await assert.rejects(freeze({ mountPath, maxMs: 1000, record: nothing }), /busy/i);
  assert.equal(await frozen.thaw(), true);
  await assert.rejects(freeze({ mountPath: join(folder, "none"), maxMs: 100, record: nothing }), { code: "ENOENT" });
  await assert.rejects(
    freeze({ mountPath, maxMs: 100, record: async () => Promise.reject(new Error("disk full")) }),
    /disk full/,
  );
  assert.equal(await thaw(mountPath), false);
});

test("a process that is killed while it holds a freeze leaves a file system that thaws", async () => {
  const script = `import { freeze } from ${JSON.stringify(join(import.meta.dirname, "freeze.ts"))};
    await freeze({ mountPath: ${JSON.stringify(mountPath)}, maxMs: 60000, record: async () => {} });
    console.log("frozen"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "exit");
  for (let i = 0; ; i++) {
    const frozen = await freeze({ mountPath, maxMs: 1000, record: nothing }).catch(() => undefined);
    if (frozen) {
      assert.equal(await frozen.thaw(), true);
      break;
    }
    assert.ok(i < 50, "the helper thaws at the end of its pipe");
    await delay(20);
  }
});
