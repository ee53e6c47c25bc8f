/** The driver's process: how soon it is ready, and how much memory it takes, at rest and after many calls. */
import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makePoolDisk } from "../test/support/pool-disk.ts";
import type { Bench } from "./support/bench.ts";
import { times } from "./support/callers.ts";
import { type Driver, residentMb, startDriver } from "./support/driver.ts";
import { atMost, type Figure, median, type Table } from "./support/figure.ts";
import { type Kind, Play } from "./support/orchestrator.ts";

const gib = 2 ** 30;

export async function processGroup(bench: Bench): Promise<readonly Table[]> {
  const disk = await makePoolDisk(bench.scratch, "xfs", { bytes: 8 * gib });
  for (const name of ["image", "directory"]) mkdirSync(join(disk.path, name));
  const start = () =>
    startDriver(bench.scratch, {
      program: bench.program,
      pools: ["image", "directory"].map((each) => `${each}=${each}:${join(disk.path, each)},size=1Ti`),
    });
  const starts = await startTimes(bench, start);
  const memory = await memoryFigures(bench, await start());
  await disk.unmount();
  return [{ title: "The process, with an image and a directory pool", figures: [...starts, ...memory] }];
}

async function startTimes(bench: Bench, start: () => Promise<Driver>): Promise<Figure[]> {
  bench.say("starting it again and again");
  await (await start()).stop(); // compiles, and keeps what it compiled
  const [probed, own]: [number[], number[]] = [[], []];
  for (let turn = 0; turn < (bench.quick ? 5 : 15); turn += 1) {
    const driver = await start();
    probed.push(driver.startMs);
    own.push(...driver.log().flatMap((line) => (line["msg"] === "ready" ? [Number(line["ms"])] : [])));
    await driver.stop();
  }
  const value = median(probed);
  return [
    {
      name: "from spawn to a Probe that answers ready",
      value,
      unit: "ms p50",
      beside: { name: "ms by its own log", value: median(own), ratio: value / median(own) },
      target: atMost(value, 400, "ms"),
      more: { most: Math.max(...probed) },
    },
  ];
}

async function memoryFigures(bench: Bench, driver: Driver): Promise<Figure[]> {
  const count = bench.quick ? 10_000 : 100_000;
  await sleep(2000);
  const idle = residentMb(driver.pid);
  const folder = mkdtempSync(join(bench.scratch.path, "mounts-"));
  bench.say(`${count} calls`);
  await calls(driver, folder, count, "first");
  const once = residentMb(driver.pid);
  bench.say(`${count} calls more`);
  await calls(driver, folder, count, "second");
  const twice = residentMb(driver.pid);
  await driver.stop();
  return [
    { name: "resident, idle", value: idle, unit: "MB", target: atMost(idle, 90, "MB") },
    {
      name: `resident after ${count} calls`,
      value: once,
      unit: "MB",
      beside: { name: "MB idle", value: idle, ratio: once / idle },
      target: atMost(once, 130, "MB"),
    },
    {
      name: `resident after ${2 * count} calls`,
      value: twice,
      unit: "MB",
      beside: { name: "MB after half of them", value: once, ratio: twice / once },
      target: { text: "flat: at most 1.05", met: twice <= once * 1.05 },
    },
  ];
}

/** A mix as an orchestrator makes it: mostly questions, and whole lives between them. */
async function calls(driver: Driver, folder: string, count: number, name: string): Promise<void> {
  const { client } = driver;
  const kind: Kind = { pool: "directory", access: "mount", fsType: "", size: gib };
  const held = new Play(client, kind, folder, `${name}-held`);
  await held.create();
  await held.stage();
  await held.publish();
  const turnCalls = 20;
  await times(count / turnCalls, 8, async (turn) => {
    await new Play(client, kind, folder, `${name}-${turn}`).whole(); // six
    for (let more = 0; more < 4; more += 1) {
      await client.identity.probe({});
      await client.controller.controllerGetVolume({ volumeId: held.id });
      await client.node.nodeGetVolumeStats({ volumeId: held.id, volumePath: held.targetPath });
    }
    await client.controller.listVolumes({ maxEntries: 10 });
    await client.node.nodeGetInfo({});
  });
  await held.unpublish();
  await held.unstage();
  await held.remove();
}
