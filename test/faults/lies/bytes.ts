/** Every RPC with bytes that are no message, or another than was meant. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { type DescMethod, toBinary } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { Controller, GroupController, Identity, Node, SnapshotMetadata } from "../../../src/csi/gen/csi_pb.ts";
import { mountsUnder } from "../../support/leftovers.ts";
import { settled } from "../again.ts";
import type { Part, Tries } from "../frame/part.ts";
import { type PoolKind, pools } from "../pools.ts";
import { Stage } from "../stage.ts";
import type { World } from "../world.ts";
import { makeBystanders } from "./bystanders.ts";
import { mutations } from "./mutations.ts";
import { randomOf } from "./random.ts";
import { connectRaw, framed, type RawAnswer } from "./raw.ts";
import { makeUp, type Words } from "./requests.ts";
import { Subject } from "./subject.ts";
import { expectWell, vitalsOf } from "./vitals.ts";

const services = [Identity, Controller, Node, GroupController, SnapshotMetadata];
const methods: readonly DescMethod[] = services.flatMap((service) => service.methods);
const concerned = ["image", "directory-btrfs", "image-shared"];

/** Of each mutation, in one try. */
const messages = 4;
const messagesInSample = 1;

export const bytes: readonly Part[] = pools
  .filter(({ name }) => concerned.includes(name))
  .map((pool) => ({
    fault: "lies",
    pool: pool.name,
    operation: "bytes",
    sample: pool.name === "image",
    seconds: 120,
    run: (tries: Tries) => sweep(pool, tries),
  }));

async function sweep(pool: PoolKind, tries: Tries): Promise<void> {
  const stage = new Stage(pool, tries);
  const all = tries.sample ? ["NodePublishVolume"] : methods.map(({ name }) => name);
  for (const method of methods.filter(({ name }) => all.includes(name))) {
    await tries.try(method.name, () => stage.with((world, name) => attack(world, name, method, tries)));
  }
  await stage.end();
}

async function attack(world: World, name: string, method: DescMethod, { seed, sample }: Tries): Promise<void> {
  const { driver } = world;
  const bystanders = await makeBystanders(world, name);
  const subject = await Subject.make(world, `${name}-subject`);
  const { volumeId } = subject.volume;
  const places = join(world.scratch.path, `places-${name}`);
  mkdirSync(join(places, "staging"), { recursive: true });
  // A delete that gets through is right: it takes what was made for it.
  const deletes = method.name.startsWith("Delete");
  const victim = deletes ? await Subject.make(world, `${name}-victim`) : subject;
  const words: Words = {
    name: [name],
    volumeId: [victim.volume.volumeId],
    sourceVolumeId: [volumeId],
    snapshotId: [victim.snapshotId ?? ""],
    nodeId: ["n1"],
    stagingTargetPath: [join(places, "staging")],
    targetPath: [join(places, "target")],
    volumePath: [join(places, "target")],
    fsType: ["", "ext4"],
  };
  const before = vitalsOf(driver);
  const random = randomOf(seed, method.name);
  let connection = await connectRaw(driver.socket);
  for (const [how, mutate] of Object.entries(mutations)) {
    for (let count = 0; count < (sample ? messagesInSample : messages); count += 1) {
      const request = makeUp(method.input, { words, random, strangeness: count % 3 === 0 ? 0 : 0.3 });
      const body = mutate(Buffer.from(toBinary(method.input, request)), random);
      const path = `/${method.parent.typeName}/${method.name}`;
      expectSense(await connection.call(path, framed(body)), `${how}, message ${count}`);
      if (connection.session.destroyed) connection = await connectRaw(driver.socket);
    }
  }
  connection.close();
  await expectWell(driver, before);
  bystanders.expectUnharmed();
  await tidy(world, places, [bystanders.volume.volumeId, volumeId], subject.snapshotId);
  await subject.expectBack();
  await subject.remove();
  await bystanders.leave();
  await world.expectEmpty();
}

/** Any status but one that tells of surprise; and there is one. */
function expectSense({ status: code, message }: RawAnswer, what: string): void {
  assert.notEqual(code, undefined, `${what}: no status: ${message}`);
  const told = `${what}: ${status[code ?? 2]}: ${message}`;
  assert.ok(code !== status.UNKNOWN && !/\[INTERNAL\]$/.test(message), told);
  assert.ok(message !== "no answer", told);
}

/** Takes away what a message that got through has made: it may be any volume, at any name beside the one that was meant. */
async function tidy(world: World, places: string, keep: readonly string[], snapshot: string | undefined) {
  const { controller, node } = world.driver.client;
  for (const target of mountsUnder(places).filter((each) => !each.endsWith("/staging"))) {
    for (const volumeId of await world.volumeIds())
      await node.nodeUnpublishVolume({ volumeId, targetPath: target }).catch(() => {}); // it is another's
  }
  for (const volumeId of await world.volumeIds()) {
    await settled(() => node.nodeUnstageVolume({ volumeId, stagingTargetPath: join(places, "staging") }));
    if (world.kind.shared && !keep.slice(0, 1).includes(volumeId))
      await settled(() => controller.controllerUnpublishVolume({ volumeId, nodeId: "n1" }));
    if (!keep.includes(volumeId)) await settled(() => world.remove({ volumeId }));
  }
  for (const snapshotId of await world.snapshotIds())
    if (snapshotId !== snapshot) await controller.deleteSnapshot({ snapshotId });
  assert.deepEqual(mountsUnder(places), []);
  for (const entry of readdirSync(places)) rmdirSync(join(places, entry));
}
