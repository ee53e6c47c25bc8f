import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Volume } from "../../src/csi/gen/csi_pb.ts";
import { type Driver, startDriver } from "../support/driver.ts";
import { mountsUnder } from "../support/leftovers.ts";
import { capability, createVolume, gib, Mode, placeFor, refused, takeVolume } from "../support/orchestrator.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { run } from "../support/run.ts";
import { makeScratch, type Scratch } from "../support/scratch.ts";

const invalid = "INVALID_ARGUMENT";
const kib4 = "n".repeat(4096);
const wrongNames = {
  empty: "",
  "with NUL": "a\0b",
  "with a control character": "a\u0007b",
  "of 4 KiB": kib4,
};
const strangeNames = {
  "with /": "a/b",
  "of two dots": "..",
  "that climbs": "../../../etc/passwd",
  absolute: "/etc/passwd",
  "of 128 bytes": "x".repeat(128),
  "in Unicode": "объём-🗄",
  "with TAB, LF and CR": "a\tb\nc\rd",
};
const strangeIds = ["no-such", "..", "../..", "/etc", "a/b", "a\0b", "\u0007", kib4, "AAAA", "=".repeat(60)];

describe("bad input changes nothing and says why", () => {
  let scratch: Scratch;
  let driver: Driver;
  let pool: string;
  let volume: Volume;
  before(async () => {
    scratch = makeScratch();
    const disk = await makePoolDisk(scratch, "xfs");
    pool = disk.path;
    driver = await startDriver(scratch, { pools: [`p=image:${pool}`] });
    volume = await createVolume(driver, "there", { bytes: gib });
  });
  after(() => scratch.end());

  /** Fails when the call is not refused so, or when the pool or the mounts differ afterwards. */
  async function unchanged(call: () => Promise<unknown>, code: string | readonly string[], words?: RegExp) {
    const before = fingerprint(pool);
    const mounts = mountsUnder(scratch.path);
    const message = await refused(call(), code, words);
    assert.equal(fingerprint(pool), before, "the pool has changed");
    assert.deepEqual(mountsUnder(scratch.path), mounts);
    return message;
  }
  const create = (fields: object) =>
    driver.client.controller.createVolume({
      name: "bad",
      capacityRange: { requiredBytes: BigInt(gib) },
      volumeCapabilities: [capability("ext4")],
      ...fields,
    });

  for (const [kind, name] of Object.entries(wrongNames)) {
    test(`a name ${kind}`, async () => {
      await unchanged(() => create({ name }), invalid);
      await unchanged(
        () => driver.client.controller.createSnapshot({ name, sourceVolumeId: volume.volumeId }),
        invalid,
      );
    });
  }

  for (const [kind, name] of Object.entries(strangeNames)) {
    test(`a name ${kind} is a name like any other, and leads nowhere`, async () => {
      const made = await createVolume(driver, name, { bytes: gib });
      assert.match(made.volumeId, /^[A-Za-z0-9_.-]{1,128}$/);
      assert.equal((await createVolume(driver, name, { bytes: gib })).volumeId, made.volumeId);
      await driver.client.controller.deleteVolume({ volumeId: made.volumeId });
    });
  }

  test("sizes", async () => {
    const bytes = (requiredBytes: bigint, limitBytes = 0n) => ({ capacityRange: { requiredBytes, limitBytes } });
    await unchanged(() => create(bytes(-1n)), ["INVALID_ARGUMENT", "OUT_OF_RANGE"]);
    await unchanged(() => create(bytes(0n, -1n)), ["INVALID_ARGUMENT", "OUT_OF_RANGE"]);
    await unchanged(() => create(bytes(BigInt(2 * gib), BigInt(gib))), ["INVALID_ARGUMENT", "OUT_OF_RANGE"]);
    await unchanged(() => create(bytes(0n, 1024n)), "OUT_OF_RANGE");
    await unchanged(() => create(bytes(2n ** 63n - 1n)), ["OUT_OF_RANGE", "RESOURCE_EXHAUSTED"]);
    await unchanged(() => create(bytes(BigInt(100 * gib))), ["OUT_OF_RANGE", "RESOURCE_EXHAUSTED"], /\d{9,}/);
  });

  test("no size gives a documented one, and a size below the file system's minimum is rounded up to it", async () => {
    const { volume: unset } = await create({ name: "unset", capacityRange: undefined });
    assert.ok(Number(unset?.capacityBytes) > 0);
    const { volume: small } = await create({
      name: "small",
      capacityRange: { requiredBytes: 1n },
      volumeCapabilities: [capability("xfs")],
    });
    assert.ok(Number(small?.capacityBytes) >= 300 * 1024 ** 2, `${small?.capacityBytes}`);
    for (const made of [unset, small]) await driver.client.controller.deleteVolume({ volumeId: made?.volumeId ?? "" });
  });

  test("fields that are missing", async () => {
    const { controller, node } = driver.client;
    const { volumeId } = volume;
    const volumeCapability = capability("ext4");
    const stagingTargetPath = scratch.path;
    const targetPath = join(scratch.path, "t");
    const calls: (() => Promise<unknown>)[] = [
      () => create({ volumeCapabilities: [] }),
      () => create({ volumeCapabilities: [{ accessMode: { mode: Mode.SINGLE_NODE_WRITER } }] }),
      () => create({ volumeCapabilities: [{ accessType: { case: "block", value: {} } }] }),
      () => create({ volumeContentSource: {} }),
      () => controller.deleteVolume({}),
      () => controller.validateVolumeCapabilities({ volumeId }),
      () => controller.validateVolumeCapabilities({ volumeCapabilities: [volumeCapability] }),
      () => controller.createSnapshot({ name: "s" }),
      () => controller.createSnapshot({ sourceVolumeId: volumeId }),
      () => controller.deleteSnapshot({}),
      () => controller.controllerExpandVolume({ volumeId }),
      () => controller.controllerExpandVolume({ capacityRange: { requiredBytes: 1n } }),
      () => controller.controllerGetVolume({}),
      () => controller.getSnapshot({}),
      () => node.nodeStageVolume({ stagingTargetPath, volumeCapability }),
      () => node.nodeStageVolume({ volumeId, volumeCapability }),
      () => node.nodeStageVolume({ volumeId, stagingTargetPath }),
      () => node.nodeUnstageVolume({ volumeId }),
      () => node.nodeUnstageVolume({ stagingTargetPath }),
      () => node.nodePublishVolume({ targetPath, stagingTargetPath, volumeCapability }),
      () => node.nodePublishVolume({ volumeId, stagingTargetPath, volumeCapability }),
      () => node.nodePublishVolume({ volumeId, targetPath, stagingTargetPath }),
      () => node.nodeUnpublishVolume({ volumeId }),
      () => node.nodeUnpublishVolume({ targetPath }),
      () => node.nodeGetVolumeStats({ volumeId }),
      () => node.nodeGetVolumeStats({ volumePath: targetPath }),
      () => node.nodeExpandVolume({ volumeId }),
      () => node.nodeExpandVolume({ volumePath: targetPath }),
    ];
    for (const call of calls) await unchanged(call, invalid);
    await unchanged(() => node.nodePublishVolume({ volumeId, targetPath, volumeCapability }), "FAILED_PRECONDITION");
  });

  test("pools, parameters, file systems and access modes that nobody knows", async () => {
    await unchanged(() => create({ parameters: { pool: "nowhere" } }), invalid, /nowhere/);
    await unchanged(() => create({ parameters: { pool: "../p" } }), invalid);
    await unchanged(() => create({ parameters: { colour: "blue" } }), invalid, /colour/);
    await unchanged(() => create({ parameters: { fsType: "ntfs" } }), invalid, /ntfs/);
    await unchanged(() => create({ parameters: { mkfsOptions: "-O ^has_journal /dev/sda" } }), invalid);
    await unchanged(
      () => create({ volumeCapabilities: [{ ...capability("ext4"), accessMode: { mode: 99 as Mode } }] }),
      invalid,
    );
    await unchanged(
      () => create({ volumeCapabilities: [{ ...capability("ext4"), accessMode: { mode: Mode.UNKNOWN } }] }),
      invalid,
    );
    await unchanged(() => create({ volumeCapabilities: [capability("ext4", Mode.MULTI_NODE_MULTI_WRITER)] }), invalid);
    await unchanged(() => create({ volumeCapabilities: [capability("ext4"), capability("block")] }), invalid);
    await unchanged(
      () =>
        driver.client.controller.createSnapshot({ name: "s", sourceVolumeId: volume.volumeId, parameters: { a: "b" } }),
      invalid,
    );
    const mapOver4KiB = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`k${index}`, "v".repeat(80)]));
    await unchanged(() => create({ parameters: mapOver4KiB }), invalid);
  });

  test("a node of which nobody has heard, and a topology of elsewhere", async () => {
    const segments = { "local.csi.holdfast/node": "n".repeat(64) };
    await unchanged(
      () => create({ accessibilityRequirements: { requisite: [{ segments }], preferred: [] } }),
      ["RESOURCE_EXHAUSTED", "INVALID_ARGUMENT"],
    );
    await unchanged(
      () =>
        create({
          accessibilityRequirements: { requisite: [{ segments: { "local.csi.holdfast/node": "n2" } }], preferred: [] },
        }),
      "RESOURCE_EXHAUSTED",
    );
  });

  test("the same name for something else", async () => {
    await unchanged(
      () => create({ name: "there", capacityRange: { requiredBytes: BigInt(2 * gib) } }),
      "ALREADY_EXISTS",
    );
    await unchanged(() => create({ name: "there", volumeCapabilities: [capability("block")] }), "ALREADY_EXISTS");
    await unchanged(() => create({ name: "there", parameters: { fsType: "xfs" } }), "ALREADY_EXISTS");
  });

  for (const id of strangeIds) {
    test(`the ID ${JSON.stringify(id.slice(0, 20))} is nobody's`, async () => {
      const { controller, node } = driver.client;
      const gone = ["NOT_FOUND", "INVALID_ARGUMENT"];
      const quiet = async (call: Promise<unknown>) => {
        // A delete of what cannot be ours succeeds or is refused as invalid; either way nothing happens.
        const before = fingerprint(pool);
        await call.catch((error: { code?: string }) => assert.equal(error.code, invalid));
        assert.equal(fingerprint(pool), before);
      };
      const place = placeFor(scratch, driver, { ...volume, volumeId: id });
      await quiet(controller.deleteVolume({ volumeId: id }));
      await quiet(controller.deleteSnapshot({ snapshotId: id }));
      await quiet(node.nodeUnpublishVolume({ volumeId: id, targetPath: place.target }));
      await quiet(node.nodeUnstageVolume({ volumeId: id, stagingTargetPath: place.staging }));
      await unchanged(() => controller.controllerGetVolume({ volumeId: id }), gone);
      await unchanged(() => place.take(), gone);
      await unchanged(() => node.nodeGetVolumeStats({ volumeId: id, volumePath: place.target }), gone);
      await unchanged(() => controller.createSnapshot({ name: "s", sourceVolumeId: id }), gone);
      await unchanged(() => createVolume(driver, "c", { fromVolume: id }), gone);
      await unchanged(() => createVolume(driver, "c", { fromSnapshot: id }), gone);
    });
  }

  test("tokens that were never issued, and negative pages", async () => {
    const { controller } = driver.client;
    for (const startingToken of ["invalid-token", "-1", "\0", "../..", kib4]) {
      await unchanged(() => controller.listVolumes({ startingToken }), "ABORTED");
      await unchanged(() => controller.listSnapshots({ startingToken }), "ABORTED");
    }
    await unchanged(() => controller.listVolumes({ maxEntries: -1 }), invalid);
    await unchanged(() => controller.listSnapshots({ maxEntries: -1 }), invalid);
  });

  describe("paths", () => {
    const stageable = async (staging: string, target: string) => {
      const common = {
        volumeId: volume.volumeId,
        volumeContext: volume.volumeContext,
        volumeCapability: capability("ext4"),
        stagingTargetPath: staging,
      };
      await driver.client.node.nodeStageVolume(common);
      await driver.client.node.nodePublishVolume({ ...common, targetPath: target });
    };
    const pathCodes = ["INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "ALREADY_EXISTS"];

    test("relative, with dots, over the system's limit, with NUL", async () => {
      const { staging, target } = placeFor(scratch, driver, volume);
      for (const path of ["relative/path", `${staging}/../../x`, `/${"d/".repeat(2100)}`, `${staging}\0`, ""]) {
        await unchanged(() => stageable(path, target), pathCodes);
      }
    });

    test("a staging path that is a symlink or is not there", async () => {
      const { staging, target } = placeFor(scratch, driver, volume);
      const elsewhere = join(scratch.path, "elsewhere");
      mkdirSync(elsewhere);
      symlinkSync(elsewhere, `${staging}-link`);
      await unchanged(() => stageable(`${staging}-link`, target), pathCodes);
      await unchanged(() => stageable(`${staging}-none`, target), pathCodes);
      writeFileSync(`${staging}-file`, "x");
      await unchanged(() => stageable(`${staging}-file`, target), pathCodes);
    });

    test("a target that is a symlink, has no parent, climbs through one, or is something else's mount", async () => {
      const place = await takeVolume(scratch, driver, volume);
      await driver.client.node.nodeUnpublishVolume({ volumeId: volume.volumeId, targetPath: place.target });
      const victim = join(scratch.path, "victim");
      mkdirSync(victim);
      writeFileSync(join(victim, "precious"), "p");
      symlinkSync(victim, `${place.target}-link`);
      const published = (targetPath: string) => () => stageable(place.staging, targetPath);
      await unchanged(published(`${place.target}-link`), pathCodes);
      await unchanged(published(`${place.target}-link/below`), pathCodes);
      await unchanged(published(`${place.target}-none/deeper/below`), pathCodes);
      writeFileSync(`${place.target}-file`, "x");
      await unchanged(published(`${place.target}-file`), pathCodes);
      const mounted = `${place.target}-mounted`;
      mkdirSync(mounted);
      await run("mount", ["-t", "tmpfs", "none", mounted]);
      try {
        await unchanged(published(mounted), pathCodes);
        // Nor may an unpublish take away what is not this volume's.
        const before = mountsUnder(scratch.path);
        await driver.client.node
          .nodeUnpublishVolume({ volumeId: volume.volumeId, targetPath: mounted })
          .catch(() => {}); // either answer is right as long as the mount stays
        assert.deepEqual(mountsUnder(scratch.path), before);
      } finally {
        await run("umount", [mounted]);
      }
      await driver.client.node.nodeUnpublishVolume({ volumeId: volume.volumeId, targetPath: victim }).catch(() => {}); // as above
      assert.equal(readFileSync(join(victim, "precious"), "utf8"), "p");
      await place.release();
    });

    test("flags that the kernel refuses, and a file system that the volume has not", async () => {
      const flags = placeFor(scratch, driver, volume, { mountFlags: ["no_such_flag_at_all"] });
      await refused(flags.take(), ["FAILED_PRECONDITION", "INVALID_ARGUMENT"], /no_such_flag_at_all|EINVAL|[Ii]nvalid/);
      const plain = await takeVolume(scratch, driver, volume);
      await plain.release();
      const other = placeFor(scratch, driver, volume, { use: "xfs" });
      await unchanged(() => other.take(), ["FAILED_PRECONDITION", "INVALID_ARGUMENT"], /ext4/);
      const unknown = placeFor(scratch, driver, volume, { use: "ntfs" as "ext4" });
      await unchanged(() => unknown.take(), ["FAILED_PRECONDITION", "INVALID_ARGUMENT"], /ntfs/);
      const raw = placeFor(scratch, driver, volume, { use: "block" });
      await unchanged(() => raw.take(), ["FAILED_PRECONDITION", "INVALID_ARGUMENT"]);
    });
  });

  test("secrets are in no log line and no error", async () => {
    const secrets = { password: "correct-horse-battery" };
    await create({ name: "with-secret", secrets });
    await refused(
      create({ name: "with-secret", secrets, capacityRange: { requiredBytes: BigInt(2 * gib) } }),
      "ALREADY_EXISTS",
    );
    const message = await refused(create({ name: "", secrets }), invalid);
    assert.ok(!message.includes("correct-horse"));
    assert.ok(!driver.log().includes("correct-horse"), "a secret is in the log");
  });

  test("services of later releases answer UNIMPLEMENTED", async () => {
    await refused(driver.client.groupController.groupControllerGetCapabilities({}), "UNIMPLEMENTED");
    await refused(driver.client.controller.controllerModifyVolume({ volumeId: volume.volumeId }), "UNIMPLEMENTED");
  });
});

/** Everything in the folder by name and size, and the content of what is small; locks and what is being deleted apart. */
function fingerprint(folder: string): string {
  const hash = createHash("sha256");
  for (const entry of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
    if (/^(locks|trash|building)\//.test(entry)) continue;
    const path = join(folder, entry);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (!stat || stat.isDirectory()) continue;
    hash.update(`${entry}\0${stat.size}\0`);
    if (stat.isSymbolicLink()) hash.update(readlinkSync(path));
    else if (stat.isFile() && stat.size < 1024 ** 2) hash.update(readFileSync(path));
  }
  return hash.digest("hex");
}
