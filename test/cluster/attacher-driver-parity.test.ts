/** The same attachments of our shared pools, through the upstream attacher and through ours: the same objects are left. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Attachment, type AttachmentHandle, makeAttachment } from "../support/cluster/attachments.ts";
import { makeClass, makeSpace } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { makeNode } from "../support/cluster/objects.ts";
import { comparable } from "../support/cluster/parity.ts";
import { staticVolume } from "../support/cluster/static-volume.ts";
import { startUpstream } from "../support/cluster/upstream.ts";
import { type Driver, startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

interface Side {
  readonly driver: Driver;
  readonly handle: string;
  readonly attach: (node: string) => Promise<AttachmentHandle>;
}

interface Case {
  readonly name: string;
  /** Answers what is compared. */
  readonly story: (side: Side) => Promise<readonly (Attachment | undefined)[]>;
  readonly publishedOn: readonly string[];
}

const cases: readonly Case[] = [
  {
    name: "to one node",
    async story({ attach }) {
      return [await (await attach("n1")).attached()];
    },
    publishedOn: ["n1"],
  },
  {
    name: "to a second node while the first has it, and then alone",
    async story({ attach }) {
      const first = await attach("n1");
      await first.attached();
      const second = await attach("n2");
      await second.failed("attachError");
      const refused = await second.get();
      await first.remove();
      await second.attached();
      return [refused, await first.get(), await second.get()];
    },
    publishedOn: ["n2"],
  },
  {
    name: "to a node that the driver does not know",
    async story({ attach }) {
      const attachment = await attach("n3");
      await attachment.failed("attachError");
      return [await attachment.get()];
    },
    publishedOn: [],
  },
  {
    name: "a volume that is gone",
    async story({ attach, driver, handle }) {
      await driver.client.controller.deleteVolume({ volumeId: handle });
      const attachment = await attach("n1");
      await attachment.failed("attachError");
      const refused = await attachment.get();
      await attachment.remove();
      return [refused, await attachment.get()];
    },
    publishedOn: [],
  },
];

test("on our shared pools the upstream attacher and ours leave the same objects", { timeout: 120_000 }, async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  await makeClass(plane, "c", { driver: "any" });
  const sides = await Promise.all(
    (["ours", "theirs"] as const).map(async (who) => {
      const disk = await makePoolDisk(scratch, "xfs");
      const pools = [`p=image:${disk.path},shared=true`];
      const args = ["--driver-name", `${who}.example`];
      const driver = await startDriver(scratch, { pools, args, nodeId: "n1" });
      await startDriver(scratch, { pools, args, nodeId: "n2" });
      const { socket } = driver;
      if (who === "ours") startHelper(plane, "attacher", { socket, options: { firstWaitMs: 200 } });
      else await startUpstream(plane, { socket, sidecars: { attacher: ["--retry-interval-start=200ms"] } });
      return { who, driver };
    }),
  );
  const drivers = sides.map(({ who }) => ({ name: `${who}.example` }));
  for (const name of ["n1", "n2", "n3"]) {
    await makeNode(plane, name, { drivers: drivers.map((one) => ({ ...one, nodeID: name })) });
  }

  const play = async ({ who, driver }: (typeof sides)[number], one: Case) => {
    const space = await makeSpace(plane, `${who}-${cases.indexOf(one)}`);
    const { volume } = await driver.client.controller.createVolume({
      name: space.name,
      capacityRange: { requiredBytes: 64n << 20n },
      volumeCapabilities: [{ accessType: { case: "mount", value: {} }, accessMode: { mode: 7 } }],
    });
    const handle = volume?.volumeId ?? "";
    await staticVolume(space, "c", { driver: `${who}.example`, class: "c", handle });
    const left = await one.story({
      driver,
      handle,
      attach: (node) =>
        makeAttachment(plane, `${space.name}-${node}`, { attacher: `${who}.example`, node, volume: `${space.name}-c` }),
    });
    const { entries } = await driver.client.controller.listVolumes({});
    const found = entries.find((entry) => entry.volume?.volumeId === handle);
    const names = { [handle]: "handle", [`${who}.`]: "", [`${who}-`]: "" };
    return { left: comparable(left, names), publishedOn: found?.status?.publishedNodeIds.toSorted() ?? [] };
  };

  for (const one of cases) {
    await t.test(one.name, async () => {
      const [ours, theirs] = await Promise.all(sides.map((side) => play(side, one)));
      assert.ok(ours && theirs);
      assert.deepEqual(ours, theirs);
      assert.deepEqual(ours.publishedOn, one.publishedOn);
    });
  }
});
