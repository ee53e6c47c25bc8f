/** What must hold on what a power cut left: acknowledged is acknowledged, the rest is whole or absent, and all goes on. */
import assert from "node:assert/strict";
import { statfsSync } from "node:fs";
import type { Volume } from "../../../src/csi/gen/csi_pb.ts";
import { createSnapshot } from "../../support/orchestrator.ts";
import { settled } from "../again.ts";
import { put, wrongIn } from "../content.ts";
import { releaseAll, takeAll, type World } from "../world.ts";
import { grownBytes } from "./caller.ts";
import type { KnownSnapshot, KnownVolume, Moment, UnderWay } from "./moment.ts";

/** `after`: a driver on the image. Deletes all in the end. */
export async function judge(after: World, moment: Moment): Promise<void> {
  const volumes = await whole(after, moment);
  const snapshots = await listed(after, moment);
  for (const call of moment.underWay) {
    // What is being deleted is whole for as long as it is there.
    const { volume, snapshot, kind } = call;
    if (kind === "delete" && volume && volumes.has(volume.id ?? "")) await expectVolume(after, volume);
    if (kind === "delete-snapshot" && snapshot && snapshots.has(snapshot.id ?? ""))
      await expectSnapshot(after, snapshot);
  }
  const made = new Set<string>();
  const left = { volumes: [...moment.volumes], snapshots: [...moment.snapshots] };
  for (const call of moment.underWay) made.add(await again(after, call, left));
  for (const id of [...volumes, ...snapshots]) {
    const known = [...moment.volumes, ...moment.snapshots].some((one) => one.id === id);
    assert.ok(known || made.has(id), `${id} was there after the cut, and the repeated calls answered others`);
  }
  for (const volume of left.volumes) await expectVolume(after, volume, moment);
  for (const snapshot of left.snapshots) await expectSnapshot(after, snapshot);
  for (const { id } of left.snapshots) await after.driver.client.controller.deleteSnapshot({ snapshotId: id ?? "" });
  for (const { id } of left.volumes) await after.remove({ volumeId: id ?? "" });
  await after.expectEmpty();
}

/** The volumes that are listed: those that must be, with their sizes and nodes, and none that can't. */
async function whole(after: World, moment: Moment): Promise<Set<string>> {
  const ids = new Set(await after.volumeIds());
  expectListed(ids, moment, moment.volumes, "delete", ["create", "restore", "clone"]);
  for (const id of ids) {
    const { volume, status } = await settled(() =>
      after.driver.client.controller.controllerGetVolume({ volumeId: id }),
    );
    const known = moment.volumes.find((one) => one.id === id);
    const call = moment.underWay.find((each) => each.volume?.id === id)?.kind;
    const bytes = Number(volume?.capacityBytes);
    if (!known) continue;
    const sizes = call === "grow" ? [known.bytes, grownBytes] : [known.bytes];
    assert.ok(sizes.includes(bytes), `${known.name} has ${bytes} bytes instead of ${sizes.join(" or ")}`);
    if (call === "attach" || call === "detach" || !after.kind.shared) continue;
    assert.deepEqual(status?.publishedNodeIds, known.attached ? ["n1"] : [], `where ${known.name} is attached`);
  }
  return ids;
}

async function listed(after: World, moment: Moment): Promise<Set<string>> {
  const ids = new Set(await after.snapshotIds());
  expectListed(ids, moment, moment.snapshots, "delete-snapshot", ["snapshot"]);
  return ids;
}

function expectListed(
  ids: ReadonlySet<string>,
  moment: Moment,
  known: readonly (KnownVolume | KnownSnapshot)[],
  away: string,
  making: readonly string[],
): void {
  const going = moment.underWay.filter(({ kind }) => kind === away).map((each) => (each.volume ?? each.snapshot)?.id);
  for (const { id, name } of known)
    assert.ok(going.includes(id) || ids.has(id ?? ""), `${name} was acknowledged, and is not there`);
  for (const id of moment.gone) assert.ok(!ids.has(id), `the deletion of ${id} was acknowledged, and it is there`);
  const others = [...ids].filter((id) => !known.some((one) => one.id === id));
  const most = moment.underWay.filter(({ kind }) => making.includes(kind)).length;
  assert.ok(others.length <= most, `${others.length} are there that were never asked for, or twice`);
}

/** The call that was under way, repeated; answers the identity that it answers. Changes what is there. */
async function again(
  after: World,
  { kind, volume, snapshot }: UnderWay,
  left: { volumes: KnownVolume[]; snapshots: KnownSnapshot[] },
): Promise<string> {
  const { controller } = after.driver.client;
  if (volume && (kind === "create" || kind === "restore" || kind === "clone")) {
    const { volumeId } = await settled(() => after.create(volume.name, volume.wish));
    left.volumes.push({ ...volume, id: volumeId });
    return volumeId;
  }
  if (volume && kind === "delete") {
    await settled(() => after.remove({ volumeId: volume.id ?? "" }));
    left.volumes = left.volumes.filter(({ id }) => id !== volume.id);
  }
  if (volume && kind === "grow") {
    const capacityRange = { requiredBytes: BigInt(grownBytes) };
    await settled(() => controller.controllerExpandVolume({ volumeId: volume.id ?? "", capacityRange }));
    left.volumes = left.volumes.map((one) => (one.id === volume.id ? { ...one, bytes: grownBytes } : one));
  }
  if (snapshot && kind === "snapshot") {
    const id = await settled(() => createSnapshot(after.driver, snapshot.name, snapshot.sourceId));
    left.snapshots.push({ ...snapshot, id });
    return id;
  }
  if (snapshot && kind === "delete-snapshot") {
    await settled(() => controller.deleteSnapshot({ snapshotId: snapshot.id ?? "" }));
    left.snapshots = left.snapshots.filter(({ id }) => id !== snapshot.id);
  }
  return "";
}

/** It can be used, has room for its size, holds what was synced, and takes more. */
async function expectVolume(after: World, known: KnownVolume, moment?: Moment): Promise<void> {
  const { use } = after.kind;
  const volume = await settled(() => after.driver.client.controller.controllerGetVolume({ volumeId: known.id ?? "" }));
  assert.ok(volume.volume, `${known.name} is not there`);
  await using(after, volume.volume, async (target) => {
    const writing = moment?.underWay.find((call) => call.kind === "write" && call.volume?.id === known.id)?.seed;
    const wrong = await wrongIn(use, target, known.seeds, writing);
    assert.deepEqual(wrong, [], `the content of ${known.name}`);
    if (after.kind.backend === "image" && use !== "block") {
      const { blocks, bsize } = statfsSync(target);
      assert.ok(blocks * bsize > 0.75 * known.bytes, `the file system of ${known.name} has ${blocks * bsize} bytes`);
    }
    await put(use, target, "after-the-cut", known.seeds.length + 1);
  });
}

/** It can be restored, and the copy holds what the source held, no less and no more. */
async function expectSnapshot(after: World, known: KnownSnapshot): Promise<void> {
  const fromSnapshot = known.id ?? "";
  const restored = await settled(() => after.create(`of-${known.name}`, { fromSnapshot, bytes: known.bytes }));
  await using(after, restored, async (target) => {
    assert.deepEqual(await wrongIn(after.kind.use, target, known.seeds, undefined), [], `the content of ${known.name}`);
  });
  await after.remove(restored);
}

async function using(after: World, volume: Volume, work: (target: string) => Promise<void>): Promise<void> {
  const seat = after.seat(volume);
  await settled(() => takeAll(seat));
  await work(`/proc/${after.driver.pid}/root${seat.target}`);
  await releaseAll(seat);
}
