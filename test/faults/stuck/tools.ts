/** A file system's tool that does not end, is deaf, wants all memory, or talks without end. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Part, Tries } from "../frame/part.ts";
import { expectWell, vitalsOf } from "../lies/vitals.ts";
import { mebibyte, volumeBytes } from "../world.ts";
import { House, type Manner, type Tool } from "./house.ts";
import { again, callsOf, expectUsualPace, impatient } from "./watch.ts";

interface Case {
  readonly tool: Tool;
  /** Runs to its end although its caller left: what it began is not to be begun anew for ever. */
  readonly goesOn: boolean;
}

const cases: readonly Case[] = [
  { tool: "mkfs.ext4", goesOn: false },
  { tool: "e2fsck", goesOn: true },
  { tool: "resize2fs", goesOn: true },
];
const manners: readonly Manner[] = ["waits", "deaf", "eats", "talks"];

export const stuckTools: readonly Part[] = cases.map(({ tool, goesOn }) => ({
  fault: "stuck",
  pool: "image",
  operation: tool,
  sample: tool === "mkfs.ext4",
  seconds: 60,
  run: (tries: Tries) => sweep(tool, goesOn, tries),
}));

async function sweep(tool: Tool, goesOn: boolean, tries: Tries): Promise<void> {
  for (const manner of tries.sample ? manners.slice(1, 2) : manners) {
    await tries.try(manner, async () => {
      const scratch = tries.scratch();
      try {
        await stuck(await House.make(scratch, "xfs"), tool, manner, goesOn);
      } finally {
        await scratch.end();
      }
    });
  }
}

async function stuck(house: House, tool: Tool, manner: Manner, goesOn: boolean): Promise<void> {
  const { driver } = house;
  const volume = await house.create("p", "stuck");
  const { volumeId } = volume;
  const fresh = tool === "mkfs.ext4";
  if (!fresh) {
    await house.fill(volume, "kept");
    const larger = { requiredBytes: BigInt(volumeBytes + 64 * mebibyte) };
    await driver.client.controller.controllerExpandVolume({ volumeId, capacityRange: larger });
  }
  const place = house.placeFor(volume);
  const usual = { p: await house.pace("p"), q: await house.pace("q") };
  const before = vitalsOf(driver);
  house.behave(tool, manner);
  const calls = callsOf(driver);
  const stage = impatient(
    (options) =>
      driver.client.node.nodeStageVolume(
        {
          volumeId,
          stagingTargetPath: place.staging,
          volumeCapability: { accessType: { case: "mount", value: { fsType: "ext4" } }, accessMode: { mode: 1 } },
        },
        options,
      ),
    // Until it has eaten what it may have takes a while.
    manner === "eats" ? 60_000 : undefined,
  );
  const pid = await house.started(tool);
  if (manner !== "eats") {
    const held = await impatient((options) => driver.client.controller.deleteVolume({ volumeId }, options));
    assert.equal(held?.code, "ABORTED", held?.message ?? "a volume that is worked on was deleted");
    const words = new RegExp(`NodeStageVolume .*step '.*child .*process ${pid}.* since .*\\(\\d+\\.\\d s ago\\)`);
    assert.match(held.message, words);
  }
  const refused = await stage;
  assert.notEqual(refused, undefined, "it was staged all the same");
  if (manner === "eats") assert.match(refused?.message ?? "", /\[COMMAND_FAILED\]$/);
  else await calls.expectInTime(1);
  // The others use the same tool: it behaves to them again. One that waits must not learn of it.
  if (!fresh) {
    await expectUsualPace(() => house.pace("p"), usual.p);
    await expectUsualPace(() => house.pace("q"), usual.q);
  }
  if (!goesOn) await gone(pid);
  await expectWell(driver, { ...before, descriptors: before.descriptors + 20 });

  house.behave(tool, "itself");
  if (goesOn && existsSync(`/proc/${pid}`) && manner === "talks") process.kill(pid, "SIGKILL");
  await gone(pid);
  if (fresh) await expectUsualPace(() => house.pace("q"), usual.q);
  await again(() => place.take());
  await again(() => place.release());
  if (!fresh) await house.expectHolds(volume, "kept");
  await house.remove(volume);
  await expectWell(driver, before);
}

async function gone(pid: number): Promise<void> {
  for (let tries = 0; existsSync(`/proc/${pid}`); tries += 1) {
    assert.ok(tries < 250, `process ${pid} still runs`);
    await sleep(20);
  }
}
