/** The same growths on our own driver, through the upstream resizer and through ours: the same objects are left. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Claim, makeClass, makeSpace, type Space, type Volume } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { comparable } from "../support/cluster/parity.ts";
import { staticVolume } from "../support/cluster/static-volume.ts";
import { startUpstream } from "../support/cluster/upstream.ts";
import { startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

interface Case {
  readonly name: string;
  readonly pool: "image" | "directory";
  readonly block?: boolean;
  /** The volume is deleted at the driver, and its object stays. */
  readonly lost?: boolean;
  readonly story: (space: Space) => Promise<void>;
  readonly is: (claim: Claim) => boolean;
  readonly expect: (claim: Claim, volume: Volume) => void;
}

const status = (claim: Claim) => claim.status.allocatedResourceStatuses?.["storage"];
const condition = (claim: Claim, type: string) => claim.status.conditions?.some((one) => one.type === type) ?? false;
const to = (size: string) => async (space: Space) => {
  await space.resize("c", size);
};

const cases: readonly Case[] = [
  {
    name: "a file system in an image: its node has the rest to do",
    pool: "image",
    story: to("128Mi"),
    is: (claim) => status(claim) === "NodeResizePending",
    expect: (_, volume) => assert.equal(volume.spec.capacity.storage, "128Mi"),
  },
  {
    name: "a raw volume",
    pool: "image",
    block: true,
    story: to("129M"),
    is: (claim) => status(claim) === "NodeResizePending",
    expect: (_, volume) => assert.notEqual(volume.spec.capacity.storage, "64Mi"),
  },
  {
    name: "a folder with a size: all is done",
    pool: "directory",
    story: to("128Mi"),
    is: (claim) => claim.status.capacity?.storage === "128Mi",
    expect: (claim) => assert.equal(status(claim), undefined),
  },
  {
    name: "more than the pool has, then less",
    pool: "image",
    async story(space) {
      await space.resize("c", "100Ti");
      await space.plane.until("it can't be", async () =>
        status(await space.getClaim("c")) === "ControllerResizeInfeasible" ? true : undefined,
      );
      await space.resize("c", "128Mi");
    },
    is: (claim) => status(claim) === "NodeResizePending",
    expect: (_, volume) => assert.equal(volume.spec.capacity.storage, "128Mi"),
  },
  {
    name: "a volume that the driver does not have",
    pool: "image",
    lost: true,
    story: to("128Mi"),
    is: (claim) => status(claim) === "ControllerResizeInfeasible",
    expect: (claim) => assert.ok(condition(claim, "ControllerResizeError")),
  },
];

test("on our driver the upstream resizer and ours leave the same objects", { timeout: 120_000 }, async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  await makeClass(plane, "c", { driver: "any" });
  const sides = await Promise.all(
    (["ours", "theirs"] as const).map(async (who) => {
      const disk = await makePoolDisk(scratch, "btrfs");
      for (const name of ["i", "d"]) mkdirSync(join(disk.path, name));
      const driver = await startDriver(scratch, {
        pools: [`image=image:${disk.path}/i,size=2Gi`, `directory=directory:${disk.path}/d,size=2Gi`],
        args: ["--driver-name", `${who}.example`],
      });
      const { socket } = driver;
      if (who === "ours") startHelper(plane, "resizer", { socket, options: { firstWaitMs: 200 } });
      else await startUpstream(plane, { socket, sidecars: { resizer: ["--retry-interval-start=200ms"] } });
      return { who, driver };
    }),
  );

  const play = async ({ who, driver }: (typeof sides)[number], one: Case) => {
    const space = await makeSpace(plane, `${who}-${cases.indexOf(one)}`);
    const accessType = one.block ? ({ case: "block", value: {} } as const) : ({ case: "mount", value: {} } as const);
    const { volume: made } = await driver.client.controller.createVolume({
      name: space.name,
      capacityRange: { requiredBytes: 64n << 20n },
      parameters: { pool: one.pool },
      volumeCapabilities: [{ accessType, accessMode: { mode: 1 } }],
    });
    const handle = made?.volumeId ?? "";
    if (one.lost) await driver.client.controller.deleteVolume({ volumeId: handle });
    const block = one.block ?? false;
    await staticVolume(space, "c", { driver: `${who}.example`, class: "c", handle, block });
    await one.story(space);
    const claim = await plane.until(
      `${who}: ${one.name}`,
      async () => {
        const now = await space.getClaim("c");
        return one.is(now) ? now : undefined;
      },
      { hint: async () => JSON.stringify((await space.getClaim("c")).status) },
    );
    const volume = await space.bound("c");
    const names = { [handle]: "handle", [`${who}.`]: "", [`${who}-`]: "" };
    return { claim, volume, same: comparable({ claim, volume }, names) };
  };

  for (const one of cases) {
    await t.test(one.name, async () => {
      const [ours, theirs] = await Promise.all(sides.map((side) => play(side, one)));
      assert.ok(ours && theirs);
      one.expect(ours.claim, ours.volume);
      assert.deepEqual(ours.same, theirs.same);
    });
  }
});
