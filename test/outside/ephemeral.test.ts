/** A pod's own volumes, as the kubelet asks for them: publish and unpublish, and nothing else. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CsiError } from "../../src/csi/client.ts";
import { VolumeUsage_Unit as Unit } from "../../src/csi/gen/csi_pb.ts";
import { differences, writeFiles } from "../support/content.ts";
import { type Driver, holdfast, startDriver } from "../support/driver.ts";
import { loopDevicesOf, mountsUnder } from "../support/leftovers.ts";
import { capability, createVolume, gib, patient, refused } from "../support/orchestrator.ts";
import { makePoolDisk, type PoolDisk } from "../support/pool-disk.ts";
import { attempt, run } from "../support/run.ts";
import { makeScratch, type Scratch } from "../support/scratch.ts";

const fsTypes = { image: ["", "xfs", "btrfs"], directory: [""] } as const;
/** Milliseconds into the work at which the driver is killed. */
const moments = [2, 10, 25, 50, 90, 150];

interface Inline {
  readonly id: string;
  readonly target: string;
  publish(more?: { readonly readonly?: boolean; readonly attributes?: Record<string, string> }): Promise<unknown>;
  unpublish(): Promise<unknown>;
}

/** As the kubelet has it: the ID a hash, the target's parent made, the pod told. */
function inlineOf(
  scratch: Scratch,
  driver: Driver,
  pod: string,
  attributes: Readonly<Record<string, string>>,
  fsType = "",
): Inline {
  const id = `csi-${createHash("sha256").update(pod).digest("hex")}`;
  const parent = join(scratch.path, "pods", pod, "volumes/kubernetes.io~csi/data");
  mkdirSync(parent, { recursive: true });
  const target = join(parent, "mount");
  return {
    id,
    target,
    publish: ({ readonly = false, attributes: others } = {}) =>
      driver.client.node.nodePublishVolume({
        volumeId: id,
        targetPath: target,
        readonly,
        volumeCapability: capability(fsType === "" ? "directory" : (fsType as "xfs")),
        volumeContext: {
          ...(others ?? attributes),
          "csi.storage.k8s.io/ephemeral": "true",
          "csi.storage.k8s.io/pod.name": pod,
          "csi.storage.k8s.io/pod.namespace": "default",
          "csi.storage.k8s.io/pod.uid": "1",
          "csi.storage.k8s.io/serviceAccount.name": "default",
        },
      }),
    unpublish: () => driver.client.node.nodeUnpublishVolume({ volumeId: id, targetPath: target }),
  };
}

describe("ephemeral volumes", () => {
  let scratch: Scratch;
  let driver: Driver;
  let disks: { image: PoolDisk; directory: PoolDisk };
  let free = 0n;
  before(async () => {
    scratch = makeScratch();
    disks = {
      image: await makePoolDisk(scratch, "xfs", { bytes: 16 * gib }),
      directory: await makePoolDisk(scratch, "xfs"),
    };
    driver = await startDriver(scratch, {
      pools: [`image=image:${disks.image.path}`, `directory=directory:${disks.directory.path}`],
    });
    free = (await driver.client.controller.getCapacity({})).availableCapacity;
  });
  after(() => scratch.end());

  /** Nothing of it is in the pools, on the node or promised. */
  async function nothingLeft(): Promise<void> {
    for (const { path } of Object.values(disks)) {
      assert.deepEqual(readdirSync(join(path, "volumes")), []);
      for (const node of readdirSync(join(path, "nodes"))) {
        // What a kill cut short while it was written is swept later.
        const records = readdirSync(join(path, "nodes", node)).filter((name) => !name.endsWith(".tmp"));
        assert.deepEqual(records, []);
      }
    }
    assert.deepEqual(
      mountsUnder(scratch.path).filter((each) => each.includes("/pods/")),
      [],
    );
    assert.deepEqual(
      loopDevicesOf(scratch.path).filter(({ file }) => !file.endsWith("disk.raw")),
      [],
    );
    // Space comes back in the background.
    for (let tries = 0; ; tries += 1) {
      const { availableCapacity } = await driver.client.controller.getCapacity({});
      if (availableCapacity >= free - BigInt(gib / 16)) return;
      assert.ok(tries < 100, `${availableCapacity} of ${free} bytes can be promised`);
      await sleep(100);
    }
  }

  for (const [pool, kinds] of Object.entries(fsTypes)) {
    for (const fsType of kinds) {
      test(`${pool}, ${fsType || "the default"}: published, used, measured, gone`, async () => {
        const inline = inlineOf(scratch, driver, `life-${pool}-${fsType}`, { pool, size: "512Mi" }, fsType);
        await inline.publish();
        await inline.publish();
        writeFiles(inline.target, "a");
        const stats = { volumeId: inline.id, volumePath: inline.target };
        const { usage } = await driver.client.node.nodeGetVolumeStats(stats);
        const total = Number(usage.find(({ unit }) => unit === Unit.BYTES)?.total);
        if (pool === "image") assert.ok(total > gib / 4 && total <= gib / 2, `${total} bytes`);
        await refused(driver.client.node.nodeGetVolumeStats({ ...stats, volumePath: scratch.path }), "NOT_FOUND");
        assert.deepEqual((await driver.client.controller.listVolumes({})).entries, []);
        await refused(
          driver.client.controller.deleteVolume({ volumeId: inline.id }),
          "FAILED_PRECONDITION",
          /life-|csi-/,
        );
        await driver.crash();
        assert.deepEqual(differences(inline.target, "a"), [], "a dead driver takes no mount with it");
        await patient(() => inline.publish());
        assert.deepEqual(differences(inline.target, "a"), []);
        await inline.unpublish();
        await inline.unpublish();
        assert.equal(existsSync(inline.target), false);
        await refused(driver.client.node.nodeGetVolumeStats(stats), "NOT_FOUND");
        await nothingLeft();
      });
    }
  }

  test("the same ID again is a new, empty volume", async () => {
    const inline = inlineOf(scratch, driver, "again", { pool: "image", size: "256Mi" });
    await inline.publish();
    writeFileSync(join(inline.target, "old"), "");
    await inline.unpublish();
    await inline.publish();
    assert.equal(existsSync(join(inline.target, "old")), false);
    await inline.unpublish();
    await nothingLeft();
  });

  test("read-only is read-only; without a size it has 1 GiB", async () => {
    const inline = inlineOf(scratch, driver, "readonly", { pool: "image" });
    await inline.publish({ readonly: true });
    assert.throws(() => writeFileSync(join(inline.target, "x"), ""), /EROFS/);
    await refused(inline.publish({ readonly: false }), "ALREADY_EXISTS");
    const { bsize, blocks } = statfsSync(inline.target);
    assert.ok(bsize * blocks > 0.8 * gib && bsize * blocks <= gib);
    await inline.unpublish();
    await nothingLeft();
  });

  test("what can't be is refused with words that name it, and leaves nothing", async () => {
    const cases: [Record<string, string>, string, RegExp][] = [
      [{ pool: "image", size: "much" }, "INVALID_ARGUMENT", /size: 'much' is not a size/],
      [{ pool: "image", sise: "1Gi" }, "INVALID_ARGUMENT", /no attribute 'sise': known are size, pool, fsType/],
      [{ pool: "tape" }, "INVALID_ARGUMENT", /no pool 'tape'/],
      [{}, "INVALID_ARGUMENT", /'pool' is needed/],
      [{ pool: "image", fsType: "ntfs" }, "INVALID_ARGUMENT", /ntfs/],
      [{ pool: "image", mkfsOptions: "/dev/sda" }, "INVALID_ARGUMENT", /./],
      [{ pool: "image", size: "900Gi" }, "RESOURCE_EXHAUSTED", /do not fit/],
      [{ pool: "directory", fsType: "xfs" }, "INVALID_ARGUMENT", /directories/],
    ];
    for (const [attributes, code, words] of cases) {
      const inline = inlineOf(scratch, driver, "wrong", attributes);
      await refused(inline.publish(), code, words);
      assert.equal(existsSync(inline.target), false, JSON.stringify(attributes));
    }
    // A failure after the volume was made: the kubelet takes this one for final and never unpublishes.
    const blocked = inlineOf(scratch, driver, "blocked", { pool: "image", size: "256Mi" });
    writeFileSync(blocked.target, "a file in the way");
    await refused(blocked.publish(), "INVALID_ARGUMENT", /target_path/);
    rmSync(blocked.target);
    const volume = await createVolume(driver, "made", { parameters: { pool: "image" } });
    const made = { ...inlineOf(scratch, driver, "made", { pool: "image" }), id: volume.volumeId };
    await refused(
      driver.client.node.nodePublishVolume({
        volumeId: made.id,
        targetPath: made.target,
        volumeCapability: capability("ext4"),
        volumeContext: { "csi.storage.k8s.io/ephemeral": "true", pool: "image" },
      }),
      "INVALID_ARGUMENT",
      /CreateVolume made/,
    );
    await driver.client.controller.deleteVolume({ volumeId: volume.volumeId });
    await nothingLeft();
  });

  test("what is in use stays until it is let go; another path takes nothing away", async () => {
    const inline = inlineOf(scratch, driver, "busy", { pool: "image", size: "256Mi" });
    await inline.publish();
    const elsewhere = join(scratch.path, "elsewhere");
    mkdirSync(elsewhere);
    await driver.client.node.nodeUnpublishVolume({ volumeId: inline.id, targetPath: elsewhere });
    assert.equal(existsSync(elsewhere), false);
    writeFiles(inline.target, "kept", 3);
    await run("mount", ["--bind", inline.target, scratch.path.concat("/pods/busy")]);
    await refused(inline.unpublish(), "FAILED_PRECONDITION");
    await run("umount", [scratch.path.concat("/pods/busy")]);
    await inline.unpublish();
    await nothingLeft();
  });

  test("a reboot: the pod that goes on finds its files", async () => {
    const inline = inlineOf(scratch, driver, "reboot", { pool: "image", size: "256Mi" });
    await inline.publish();
    writeFiles(inline.target, "kept", 5);
    await driver.kill();
    await run("umount", [inline.target]);
    await disks.image.unmount();
    await disks.image.mount();
    await driver.start();
    await patient(() => inline.publish());
    assert.deepEqual(differences(inline.target, "kept", 5), []);
    await inline.unpublish();
    await nothingLeft();
  });

  test("a pod whose folder is gone is told of at the start, and only a person removes its volume", async () => {
    const inline = inlineOf(scratch, driver, "orphan", { pool: "directory" });
    await inline.publish();
    await run("umount", [inline.target]);
    await driver.kill();
    // As after a reboot: the record of what was mounted counts no more.
    for (const node of readdirSync(join(disks.directory.path, "nodes")))
      for (const file of readdirSync(join(disks.directory.path, "nodes", node)))
        rmSync(join(disks.directory.path, "nodes", node, file));
    rmSync(dirname(inline.target), { recursive: true });
    await driver.start();
    for (let tries = 0; !driver.log().includes("the pod of an ephemeral volume is gone"); tries += 1) {
      assert.ok(tries < 100, driver.log());
      await sleep(50);
    }
    assert.match(driver.log(), /"pod":"default\/orphan"/);
    const { code, stderr } = await attempt(holdfast, ["volume", "delete", inline.id, "--csi-address", driver.socket]);
    assert.equal(code, 0, stderr);
    await nothingLeft();
  });

  for (const moment of moments) {
    test(`kill -9, ${moment} ms into publishing and unpublishing: repeated or given up, nothing leaks`, async () => {
      const inlines = Array.from({ length: 6 }, (_, index) =>
        inlineOf(scratch, driver, `kill-${moment}-${index}`, {
          pool: index % 3 === 2 ? "directory" : "image",
          size: "256Mi",
        }),
      );
      const killed = async (work: readonly Promise<unknown>[]) => {
        const settled = Promise.allSettled(work);
        await sleep(moment);
        await driver.kill();
        for (const result of await settled) {
          if (result.status === "rejected") assert.ok(result.reason instanceof CsiError, String(result.reason));
        }
        await driver.start();
      };
      await killed(inlines.map((each) => each.publish()));
      // Half of the pods were deleted meanwhile.
      const [kept, gone] = [inlines.slice(0, 3), inlines.slice(3)];
      await Promise.all([
        ...kept.map((each) => patient(() => each.publish())),
        ...gone.map((each) => patient(() => each.unpublish())),
      ]);
      for (const { target } of kept) writeFiles(target, "kept", 3);
      await killed(kept.map((each) => each.publish()));
      for (const { target } of kept) assert.deepEqual(differences(target, "kept", 3), [], "formatted twice");
      await killed(kept.map((each) => each.unpublish()));
      await Promise.all(kept.map((each) => patient(() => each.unpublish())));
      for (const { target } of inlines) assert.equal(existsSync(target), false);
      await nothingLeft();
    });
  }
});

test("a shared pool makes none, and a pool that is missing does not say that there is none", async (t) => {
  const scratch = makeScratch();
  t.after(() => scratch.end());
  const disk = await makePoolDisk(scratch, "xfs");
  const shared = await startDriver(scratch, { pools: [`s=image:${disk.path}/s,shared`] });
  await refused(inlineOf(scratch, shared, "s", {}).publish(), "UNIMPLEMENTED", /shared/);
  const folder = join(disk.path, "l");
  mkdirSync(folder);
  await run(holdfast, ["pool", "init", folder, "--node-id", "n1"]);
  const local = await startDriver(scratch, { pools: [`l=image:${folder}`], initPools: false, mayBeUnready: true });
  const inline = inlineOf(scratch, local, "l", { size: "256Mi" });
  await inline.publish();
  await run("umount", [inline.target]);
  await local.kill();
  await shared.stop();
  await disk.unmount();
  mkdirSync(folder);
  await local.start();
  await refused(inline.unpublish(), "UNAVAILABLE");
  await local.kill();
  rmSync(folder, { recursive: true });
  await disk.mount();
  await local.start();
  await patient(() => inline.unpublish());
  assert.deepEqual(readdirSync(join(folder, "volumes")), []);
});
