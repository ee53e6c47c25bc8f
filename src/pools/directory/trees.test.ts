import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { setTimeout } from "node:timers/promises";
import { keyOf, newNonce } from "../ids.ts";
import { initPool } from "../marker.ts";
import type { NewVolume, Pool, Progress } from "../pool.ts";
import { backend } from "./backend.ts";

const mebibyte = 1024 * 1024;
const progress: Progress = { signal: new AbortController().signal, step: () => undefined, child: () => undefined };
const work = { ...progress, hold: async () => assert.fail(), finish: async () => assert.fail() } as Parameters<
  Pool["create"]
>[1];

test("on btrfs: snapshots, clones, restores, sizes enforced, deletion in one step", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "holdfast-test-"));
  const disk = join(scratch, "disk");
  const mount = join(scratch, "mount");
  writeFileSync(disk, "");
  truncateSync(disk, 512 * mebibyte);
  execFileSync("mkfs.btrfs", ["-q", disk]);
  await mkdir(mount);
  execFileSync("mount", ["-o", "loop", disk, mount]);
  let opened: Pool | undefined;
  try {
    execFileSync("btrfs", ["quota", "enable", mount]);
    const { uuid } = await initPool({ folder: mount, backend: "directory", shared: false, node: "n1" });
    const place = { name: "d", folder: mount, uuid, shared: false, node: "n1", maxVolumes: 0 };
    const pool = await backend.open(place, { size: 400 * mebibyte, extra: {} });
    opened = pool;
    assert.deepEqual([pool.features.snapshots, pool.features.clones, pool.features.enforcesSize], [true, true, true]);

    const volume = (name: string, size: number, origin?: NewVolume["origin"]): NewVolume => ({
      key: keyOf("volume", uuid, name),
      nonce: newNonce(),
      name,
      size,
      access: "mount",
      fsType: "",
      mkfsOptions: [],
      parameters: {},
      ...(origin ? { origin } : {}),
    });
    const a = await pool.create(volume("a", 20 * mebibyte), work);
    const tree = await pool.open(a, { readonly: false, keep: false }, progress);
    assert.ok(tree.gives === "directory");
    const file = join(tree.path, "file");
    await writeFile(file, "first");
    const sold = { key: keyOf("snapshot", uuid, "s"), nonce: newNonce(), name: "s", parameters: {} };
    const snapshot = await pool.snapshot(sold, a, "id-a", work);
    await writeFile(file, "second");
    const b = await pool.create(
      volume("b", 20 * mebibyte, { kind: "snapshot", id: "x", key: snapshot.key, nonce: snapshot.nonce }),
      work,
    );
    const c = await pool.create(
      volume("c", 20 * mebibyte, { kind: "volume", id: "x", key: a.key, nonce: a.nonce }),
      work,
    );
    const read = (key: string) => readFile(join(mount, "volumes", key, "data", "file"), "utf8");
    assert.deepEqual(await Promise.all([read(a.key), read(b.key), read(c.key)]), ["second", "first", "second"]);

    await assert.rejects(writeFile(file, Buffer.alloc(40 * mebibyte, 1), { flush: true }), /-122/); // EDQUOT, which libuv has no name for
    const grown = await pool.grow(a, 60 * mebibyte);
    await writeFile(file, Buffer.alloc(40 * mebibyte, 1), { flush: true });
    execFileSync("sync", ["-f", mount]);
    const usage = await pool.usage?.(grown);
    assert.ok(usage && usage.used >= 40 * mebibyte && usage.available <= 20 * mebibyte, JSON.stringify(usage));

    for (const each of [grown, b, c]) await pool.remove(each);
    await pool.removeSnapshot(snapshot);
    while ((await pool.capacity()).promised > 0) await setTimeout(5);
    assert.match(execFileSync("btrfs", ["subvolume", "list", mount], { encoding: "utf8" }), /^$/);
  } finally {
    await opened?.stop();
    execFileSync("umount", [mount]);
    rmSync(scratch, { recursive: true });
  }
});
