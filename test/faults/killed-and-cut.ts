/**
 * Killed at every step, and then the power goes: at once, so that all that the driver had written and not yet synced is
 * lost with it; or when a new driver has answered the repeated call, which may rest on what the dead one left in memory
 * only. The disk's bytes of that moment are what the next driver finds.
 */
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { loopDevicesOf, mountsUnder } from "../support/leftovers.ts";
import { attempt, run } from "../support/run.ts";
import { settled } from "./again.ts";
import type { Part, Tries } from "./frame/part.ts";
import { eachPoint, killedAt } from "./kill.ts";
import { operations } from "./operations/index.ts";
import type { Operation } from "./operations/operation.ts";
import { type PoolKind, pools } from "./pools.ts";
import { Stage } from "./stage.ts";
import { oneThread, type Point } from "./strace.ts";
import { expectWhole } from "./verdict.ts";
import type { World } from "./world.ts";

const chosen = ["create", "delete", "snapshot", "stage-first", "grow"];
const sampled = ["create"];

export const killedAndCut: readonly Part[] = pools
  .filter(({ name }) => name === "image")
  .flatMap((pool) =>
    operations
      .filter(({ name }) => chosen.includes(name))
      .flatMap((operation) =>
        [false, true].map((repeated) => ({
          fault: "killed-and-cut",
          pool: pool.name,
          operation: `${operation.name}${repeated ? "-repeated" : ""}`,
          sample: sampled.includes(operation.name),
          seconds: operation.name === "stage-first" ? 60 : 25,
          run: (tries: Tries) => sweep(pool, operation, repeated, tries),
        })),
      ),
  );

async function sweep(pool: PoolKind, operation: Operation, repeated: boolean, tries: Tries): Promise<void> {
  const stage = new Stage(pool, tries, { env: oneThread, outer: true });
  const strikeAt = (world: World, point: Point, name: string) => killAndCut(world, operation, point, repeated, name);
  // What a program of a dead driver still does comes after the cut: as the driver's own death.
  await eachPoint(stage, operation, tries, strikeAt, ["worker", "main", "group"]);
}

async function killAndCut(
  world: World,
  operation: Operation,
  point: Point,
  repeated: boolean,
  name: string,
): Promise<boolean> {
  const prepared = await operation.prepare(world, name);
  const { answered: first, struck } = await killedAt(world.driver, point, () => prepared.act());
  let answered = first;
  if (repeated) {
    await world.driver.start();
    answered = await settled(() => prepared.act());
  }
  await cutPower(world);
  await world.driver.start();
  await expectWhole(world, prepared, answered, "power cut");
  return struck;
}

/** The disk is what it was at this moment, and no mount, device or memory of before is left. */
async function cutPower({ disk, driver, scratch }: World): Promise<void> {
  const cut = `${disk.image}.cut`;
  await run("cp", ["--reflink=always", disk.image, cut]);
  await driver.kill();
  for (let tries = 0; ; tries += 1) {
    for (const target of mountsUnder(scratch.path)) {
      const ofPool = !disk.path.startsWith(target);
      if (ofPool) await attempt("umount", [target]);
    }
    const devices = loopDevicesOf(disk.path);
    for (const { device } of devices) await attempt("losetup", ["--detach", device]);
    if (devices.length === 0) break;
    if (tries === 100) throw new Error(`still open: ${devices.map(({ file }) => file).join(", ")}`);
    await sleep(20);
  }
  await disk.unmount();
  renameSync(cut, disk.image);
  // The old one may be mounted a moment longer, in the mount namespace of somebody's driver that is going.
  await disk.mount("noatime,nouuid");
  endBoot(disk.path);
}

/** This machine has not started anew, so what is noted as of this boot is said to be of another. */
function endBoot(pool: string): void {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  for (const file of readdirSync(join(pool, "nodes"), { recursive: true, encoding: "utf8" })) {
    if (!/\.json$|freeze-/.test(file)) continue;
    const path = join(pool, "nodes", file);
    writeFileSync(
      path,
      readFileSync(path, "latin1").replaceAll(boot, "2c1ba0ce-0000-4000-8000-00000000cafe"),
      "latin1",
    );
  }
}
