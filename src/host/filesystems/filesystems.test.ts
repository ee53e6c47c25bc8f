import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { hasCapability } from "../capabilities.ts";
import { run } from "../command.ts";
import { diskUsage, sparseCopy } from "../copies.ts";
import { isAllZero } from "../device.ts";
import { forbidDiscards, trim } from "../discard.ts";
import { freeze, thaw } from "../freeze.ts";
import { isLocked } from "../locks.ts";
import { attachLoop, type LoopDevice, setCapacity } from "../loop.ts";
import { mountFilesystem, unmount } from "../mounts.ts";
import { deviceSize, filesystemUsage } from "../stats.ts";
import { isSystemError } from "../system-error.ts";
import { type Filesystem, filesystem, probe } from "./filesystem.ts";
import { ForeignContent } from "./tools.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-fs-"));
const at = (name: string) => join(folder, name);
const MiB = 1 << 20;
before(() => {
  for (const name of ["a", "b"]) mkdirSync(at(name));
});
after(async () => {
  for (const name of ["a", "b"]) {
    await thaw(at(name)).catch(() => false);
    await unmount(at(name));
  }
  rmSync(folder, { recursive: true });
});

async function device(name: string, bytes: number): Promise<LoopDevice> {
  writeFileSync(at(name), "");
  truncateSync(at(name), bytes);
  return attachLoop({ path: at(name), autoclear: true });
}

/** Whoever lists the loop devices at that moment keeps one for as long as it looks. */
async function freed(path: string): Promise<boolean> {
  for (let i = 0; i < 200; i++) {
    if (!(await isLocked(path))) return true;
    await delay(5);
  }
  return false;
}

function fsOf(name: string): Filesystem {
  const fs = filesystem(name);
  assert.ok(fs);
  return fs;
}

const uuid = (path: string) => execFileSync("blkid", ["-p", "-s", "UUID", "-o", "value", path], { encoding: "utf8" });

for (const name of ["ext4", "xfs", "btrfs"]) {
  const fs = fsOf(name);

  test(`${name}: made at its minimum, copied while in use, copy with its own UUID, grown, mounted beside`, async () => {
    const loop = await device(`${name}.img`, fs.minimumBytes);
    assert.equal(await probe(loop.device), undefined);
    await fs.format(loop.device, { fresh: true, label: "vol" });
    assert.deepEqual(await probe(loop.device), { type: name });
    assert.equal(await fs.needsCheck(loop.device), false);
    assert.ok((await fs.size(loop.device)) <= fs.minimumBytes);
    const options = { fsType: name, flags: fs.mountFlags };
    await mountFilesystem({ ...options, device: loop.device, target: at("a") });
    writeFileSync(at("a/file"), Buffer.alloc(MiB, 5));

    const frozen = await freeze({ mountPath: at("a"), maxMs: 5000, record: async () => undefined });
    await sparseCopy(at(`${name}.img`), at(`${name}.copy`));
    assert.equal(await frozen.thaw(), true);

    truncateSync(at(`${name}.copy`), fs.minimumBytes * 2);
    const copy = await attachLoop({ path: at(`${name}.copy`), autoclear: true });
    assert.equal(uuid(copy.device), uuid(loop.device));
    await fs.newUuid(copy.device, {});
    assert.notEqual(uuid(copy.device), uuid(loop.device));
    const before = await fs.size(copy.device);
    await fs.growOffline(copy.device, {});
    await fs.growOffline(copy.device, {});
    const grown = await fs.size(copy.device);
    assert.ok(grown > before + fs.minimumBytes / 2 && grown <= fs.minimumBytes * 2, `${before} to ${grown}`);
    assert.equal((await fs.check(copy.device, { repair: "none" })).state, "clean");
    await mountFilesystem({ ...options, device: copy.device, target: at("b") });
    assert.ok(readFileSync(at("b/file")).equals(Buffer.alloc(MiB, 5)));

    // Grown again, while mounted.
    truncateSync(at(`${name}.copy`), fs.minimumBytes * 3);
    await setCapacity(copy.number);
    const { total } = (await filesystemUsage(at("b"))).bytes;
    try {
      await fs.growOnline(at("b"), copy.device);
      await fs.growOnline(at("b"), copy.device);
      assert.ok((await filesystemUsage(at("b"))).bytes.total > total);
    } catch (error) {
      assert.ok(name === "ext4" && isSystemError(error, "EPERM") && !hasCapability("CAP_SYS_RESOURCE"));
      assert.match(error.message, /CAP_SYS_RESOURCE/);
    }
    for (const target of ["a", "b"]) await unmount(at(target));
    for (const each of [loop, copy]) each.close();
    assert.ok(await freed(at(`${name}.copy`)));
  });

  test(`${name}: cut while it is written to, the copy still gets its UUID and grows`, async () => {
    const loop = await device(`${name}.moving`, fs.minimumBytes);
    await fs.format(loop.device, { fresh: true });
    await mountFilesystem({ fsType: name, device: loop.device, target: at("a") });
    execFileSync("sh", ["-c", 'for i in 1 2 3 4 5; do echo $i > "$0/$i"; sync "$0/$i"; done', at("a")]);
    await sparseCopy(at(`${name}.moving`), at(`${name}.dirty`));
    await unmount(at("a"));
    loop.close();
    truncateSync(at(`${name}.dirty`), fs.minimumBytes * 2);
    const copy = await attachLoop({ path: at(`${name}.dirty`), autoclear: true });
    if (name === "ext4") assert.equal(await fs.needsCheck(copy.device), true);
    await fs.newUuid(copy.device, {});
    await fs.growOffline(copy.device, {});
    assert.equal((await fs.check(copy.device, { repair: "full" })).state, "clean");
    await mountFilesystem({ fsType: name, device: copy.device, target: at("a") });
    assert.equal(readFileSync(at("a/5"), "utf8"), "5\n");
    await unmount(at("a"));
    copy.close();
  });

  test(`${name}: after an interrupted mkfs it is made again; foreign content is refused`, async () => {
    const loop = await device(`${name}.again`, fs.minimumBytes);
    await fsOf(name === "ext4" ? "xfs" : "ext4")
      .format(loop.device, {})
      .catch(() => undefined);
    await fs.format(loop.device, {});
    assert.deepEqual(await probe(loop.device), { type: name });
    writeFileSync(loop.device, Buffer.concat([Buffer.from("LUKS\xba\xbe\0\x01", "latin1"), Buffer.alloc(256 * 1024)]));
    assert.equal(await isAllZero(loop, 4), false);
    assert.deepEqual(await probe(loop.device), { type: "crypto_LUKS" });
    await assert.rejects(fs.format(loop.device, {}), ForeignContent);
    loop.close();
  });
}

test("ext4: mkfs options of the caller win; what was reserved stays so; a damaged one is found and repaired", async () => {
  const fs = fsOf("ext4");
  const loop = await device("options.img", 32 * MiB);
  execFileSync("fallocate", ["-l", String(32 * MiB), at("options.img")]);
  await forbidDiscards(loop.number);
  await fs.format(loop.device, { options: ["-b", "1024", "-E", "packed_meta_blocks=1", "-O", "^has_journal"] });
  await mountFilesystem({ fsType: "ext4", device: loop.device, target: at("a") });
  await assert.rejects(trim(at("a")), { code: "ENOTSUP" });
  await unmount(at("a"));
  assert.ok((await diskUsage(at("options.img"))) >= 32 * MiB);
  assert.equal(await fs.size(loop.device), 32 * MiB);
  assert.equal(await deviceSize(loop.device), 32 * MiB);

  execFileSync("dd", ["if=/dev/zero", `of=${loop.device}`, "bs=1024", "seek=2", "count=1", "conv=notrunc"], {
    stdio: "ignore",
  });
  assert.equal((await fs.check(loop.device, { repair: "none" })).state, "damaged");
  const full = await fs.check(loop.device, { repair: "full" });
  assert.equal(full.state, "repaired");
  assert.equal((await fs.check(loop.device, { repair: "none" })).state, "clean");
  loop.close();
});

test("ext4: a growth whose write was lost without a word from resize2fs is no growth", async () => {
  const fs = fsOf("ext4");
  const small = await device("lost.img", 32 * MiB);
  await fs.format(small.device, {});
  truncateSync(at("lost.img"), 64 * MiB);
  await setCapacity(small.number);
  const losing: typeof run = async (program, args, options) => {
    const output = await run(program, args, options);
    // The group descriptors, as if they had never been written.
    const lost = ["if=/dev/zero", `of=${small.device}`, "bs=4096", "seek=1", "count=1", "conv=notrunc"];
    if (program === "resize2fs") execFileSync("dd", lost, { stdio: "ignore" });
    return output;
  };
  await assert.rejects(fs.growOffline(small.device, { runner: losing }), /^CommandError: resize2fs .* left damage/);
  small.close();
});

test("xfs: a copy that its new UUID left unmountable is no copy", async () => {
  const fs = fsOf("xfs");
  const copy = await device("copy.img", 320 * MiB);
  await fs.format(copy.device, {});
  const losing: typeof run = async (program, args, options) => {
    const output = await run(program, args, options);
    execFileSync("dd", ["if=/dev/zero", `of=${copy.device}`, "bs=512", "count=1", "conv=notrunc"], { stdio: "ignore" });
    return output;
  };
  await assert.rejects(
    fs.newUuid(copy.device, { runner: losing }),
    /^CommandError: xfs_admin .* ended with 0, then: mount xfs/,
  );
  copy.close();
});

test("freed space goes back to the pool, also on a device that had discards off before", async () => {
  const fs = fsOf("ext4");
  const loop = await device("thin.img", 64 * MiB);
  await fs.format(loop.device, { fresh: true });
  await mountFilesystem({ fsType: "ext4", device: loop.device, target: at("a") });
  writeFileSync(at("a/big"), Buffer.alloc(20 * MiB, 1), { flush: true });
  const full = await diskUsage(at("thin.img"));
  rmSync(at("a/big"));
  assert.ok((await trim(at("a"))) > 20 * MiB);
  assert.ok((await diskUsage(at("thin.img"))) <= full - 19 * MiB);
  await unmount(at("a"));
  loop.close();
});
