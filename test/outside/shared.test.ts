import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Volume } from "../../src/csi/gen/csi_pb.ts";
import { differences, holdsRaw, writeFiles, writeRaw } from "../support/content.ts";
import { type Driver, startDriver } from "../support/driver.ts";
import {
  capability,
  createSnapshot,
  createVolume,
  gib,
  Mode,
  placeFor,
  refused,
  takeVolume,
  type Use,
} from "../support/orchestrator.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { makeScratch, type Scratch, scratchFor } from "../support/scratch.ts";

describe("two nodes on one shared image pool", () => {
  let scratch: Scratch;
  let one: Driver;
  let two: Driver;
  before(async () => {
    scratch = makeScratch();
    const disk = await makePoolDisk(scratch, "xfs", { bytes: 16 * gib });
    const pools = [`p=image:${disk.path},shared=true`];
    one = await startDriver(scratch, { pools, nodeId: "n1" });
    two = await startDriver(scratch, { pools, nodeId: "n2", apart: true });
  });
  after(() => scratch.end());

  const attach = async (by: Driver, volume: Volume, nodeId: string, use: Use = "ext4", readonly = false) => {
    const { publishContext } = await by.client.controller.controllerPublishVolume({
      volumeId: volume.volumeId,
      volumeContext: volume.volumeContext,
      nodeId,
      volumeCapability: capability(use),
      readonly,
    });
    return publishContext;
  };
  const detach = (by: Driver, volume: Volume, nodeId: string) =>
    by.client.controller.controllerUnpublishVolume({ volumeId: volume.volumeId, nodeId });
  const publishedNodes = async (by: Driver, volume: Volume) =>
    (await by.client.controller.controllerGetVolume({ volumeId: volume.volumeId })).status?.publishedNodeIds;

  for (const use of ["ext4", "block"] as const) {
    test(`${use}: only the node that holds the attachment opens the volume, and the data follows it`, async () => {
      const volume = await createVolume(one, `moves-${use}`, { use });
      assert.deepEqual(volume.accessibleTopology, []);
      await refused(placeFor(scratch, one, volume, { use }).take(), "FAILED_PRECONDITION", /attach/i);
      const publishContext = await attach(two, volume, "n1", use);
      assert.deepEqual(await attach(one, volume, "n1", use), publishContext, "it may be repeated, by any controller");
      assert.deepEqual(await publishedNodes(two, volume), ["n1"]);
      await refused(attach(one, volume, "n2", use), "FAILED_PRECONDITION", /n1/);
      await refused(attach(one, volume, "n1", use, true), "ALREADY_EXISTS");
      const atOne = await takeVolume(scratch, one, volume, { use, publishContext });
      write(use, atOne.target, "from-one");
      // The other node, whatever it was told.
      await refused(
        placeFor(scratch, two, volume, { use, publishContext }).take(),
        "FAILED_PRECONDITION",
        /n1|attach/i,
      );
      await refused(detach(two, volume, "n1"), "FAILED_PRECONDITION");
      await refused(attach(two, volume, "n2", use), "FAILED_PRECONDITION", /n1/);
      await refused(two.client.controller.deleteVolume({ volumeId: volume.volumeId }), "FAILED_PRECONDITION");
      await atOne.release();
      await detach(two, volume, "n1");
      await detach(two, volume, "n1");
      const moved = await attach(one, volume, "n2", use);
      const atTwo = await takeVolume(scratch, two, volume, { use, publishContext: moved });
      check(use, seenBy(two, atTwo.target), "from-one");
      await atTwo.release();
      await detach(one, volume, "n2");
      assert.deepEqual(await publishedNodes(one, volume), []);
      await one.client.controller.deleteVolume({ volumeId: volume.volumeId });
      await refused(two.client.controller.controllerGetVolume({ volumeId: volume.volumeId }), "NOT_FOUND");
    });
  }

  test("a node that died with the volume open keeps it until it has closed it", async () => {
    const volume = await createVolume(one, "held");
    const publishContext = await attach(one, volume, "n1");
    const place = await takeVolume(scratch, one, volume, { publishContext });
    writeFiles(place.target, "kept", 3);
    await one.kill();
    await refused(detach(two, volume, "n1"), "FAILED_PRECONDITION", /n1/);
    await refused(attach(two, volume, "n2"), "FAILED_PRECONDITION", /n1/);
    await one.start();
    await place.take();
    assert.deepEqual(differences(place.target, "kept", 3), []);
    await place.release();
    await detach(two, volume, "n1");
    await one.client.controller.deleteVolume({ volumeId: volume.volumeId });
  });

  test("a node of which nobody has heard is NOT_FOUND; an unknown volume too, but not to detach", async () => {
    const volume = await createVolume(one, "known");
    await refused(attach(one, volume, "n3"), "NOT_FOUND");
    await refused(attach(one, { ...volume, volumeId: "no-such-volume" }, "n1"), "NOT_FOUND");
    await detach(one, { ...volume, volumeId: "no-such-volume" }, "n1");
    await detach(one, volume, "n3");
    await one.client.controller.deleteVolume({ volumeId: volume.volumeId });
  });

  test("a snapshot of a volume that the other node holds is made by that node, and consistent", async () => {
    const volume = await createVolume(one, "elsewhere");
    const publishContext = await attach(one, volume, "n1");
    const place = await takeVolume(scratch, one, volume, { publishContext });
    writeFiles(place.target, "cut", 5);
    const made = await createSnapshot(two, "of-elsewhere", volume.volumeId);
    const copy = await createVolume(two, "copy-of-elsewhere", { fromSnapshot: made });
    const at = await takeVolume(scratch, two, copy, { publishContext: await attach(two, copy, "n2") });
    assert.deepEqual(differences(seenBy(two, at.target), "cut", 5), []);
    await at.release();
    await detach(two, copy, "n2");
    await two.client.controller.deleteVolume({ volumeId: copy.volumeId });
    await two.client.controller.deleteSnapshot({ snapshotId: made });
    await place.release();
    await detach(one, volume, "n1");
    await one.client.controller.deleteVolume({ volumeId: volume.volumeId });
  });
});

test("a shared directory pool has many writers on many nodes", async (t) => {
  const scratch = scratchFor(t);
  const folder = join(scratch.path, "pool");
  mkdirSync(folder);
  const pools = [`p=directory:${folder},shared=true`];
  const one = await startDriver(scratch, { pools, nodeId: "n1" });
  const two = await startDriver(scratch, { pools, nodeId: "n2", apart: true });
  const mode = Mode.MULTI_NODE_MULTI_WRITER;
  const volume = await createVolume(one, "together", { use: "directory", mode });
  const places = [];
  for (const [driver, nodeId] of [
    [one, "n1"],
    [two, "n2"],
  ] as const) {
    const { publishContext } = await driver.client.controller.controllerPublishVolume({
      volumeId: volume.volumeId,
      volumeContext: volume.volumeContext,
      nodeId,
      volumeCapability: capability("directory", mode),
    });
    places.push(await takeVolume(scratch, driver, volume, { use: "directory", mode, publishContext }));
  }
  const [atOne, atTwo] = places;
  assert.ok(atOne && atTwo);
  writeFiles(atOne.target, "one", 3);
  writeFiles(seenBy(two, atTwo.target), "two", 3);
  assert.deepEqual(differences(seenBy(two, atTwo.target), "one", 3), []);
  assert.deepEqual(differences(atOne.target, "two", 3), []);
  for (const place of places) await place.release();
  for (const nodeId of ["n1", "n2"]) {
    await one.client.controller.controllerUnpublishVolume({ volumeId: volume.volumeId, nodeId });
  }
  await two.client.controller.deleteVolume({ volumeId: volume.volumeId });
});

test("controller and node in two processes, each with Identity", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const pools = [`p=image:${disk.path}`];
  const controller = await startDriver(scratch, { pools, args: ["--services", "identity,controller"] });
  const node = await startDriver(scratch, { pools, args: ["--services", "identity,node"] });
  await refused(controller.client.node.nodeGetInfo({}), "UNIMPLEMENTED");
  await refused(node.client.controller.listVolumes({}), "UNIMPLEMENTED");
  assert.notEqual((await node.client.identity.getPluginInfo({})).name, "");
  const volume = await createVolume(controller, "v");
  const place = await takeVolume(scratch, node, volume);
  writeFiles(place.target, "a", 3);
  await refused(controller.client.controller.deleteVolume({ volumeId: volume.volumeId }), "FAILED_PRECONDITION");
  const snapshotId = await createSnapshot(controller, "s", volume.volumeId);
  const copy = await createVolume(controller, "c", { fromSnapshot: snapshotId, bytes: 2 * gib });
  const copied = await takeVolume(scratch, node, copy);
  assert.deepEqual(differences(copied.target, "a", 3), []);
  await copied.release();
  await place.release();
  for (const { volumeId } of [copy, volume]) await controller.client.controller.deleteVolume({ volumeId });
  await controller.client.controller.deleteSnapshot({ snapshotId });
});

/** A path as a driver sees it that runs apart. */
function seenBy(driver: Driver, path: string): string {
  return `/proc/${driver.pid}/root${path}`;
}

function write(use: Use, target: string, seed: string): void {
  if (use === "block") writeRaw(target, seed);
  else writeFiles(target, seed, 5);
}

function check(use: Use, target: string, seed: string): void {
  if (use === "block") assert.ok(holdsRaw(target, seed));
  else assert.deepEqual(differences(target, seed, 5), []);
}
