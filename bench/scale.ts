/** Whether cost grows with the number of volumes: creating, listing, publishing. */
import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { makePoolDisk } from "../test/support/pool-disk.ts";
import type { Bench } from "./support/bench.ts";
import { times } from "./support/callers.ts";
import { type Driver, startDriver } from "./support/driver.ts";
import { atMost, type Figure, median, percentile, type Table } from "./support/figure.ts";
import { forgetSpareLoops, loopCount } from "./support/loops.ts";
import { type Kind, Play, Timings } from "./support/orchestrator.ts";

const mib = 2 ** 20;
const gib = 2 ** 30;

export async function scale(bench: Bench): Promise<readonly Table[]> {
  const disk = await makePoolDisk(bench.scratch, "xfs", { bytes: 64 * gib });
  const present = await many(bench, disk.path);
  const staged = await crowd(bench, disk.path);
  await disk.unmount();
  return [
    { title: "With many volumes present, beside an empty pool", figures: present },
    { title: "With many volumes staged on the node, 1 caller, beside one", figures: staged },
  ];
}

async function start(bench: Bench, disk: string, name: string, backend: string): Promise<Driver> {
  mkdirSync(join(disk, name), { recursive: true });
  return startDriver(bench.scratch, { program: bench.program, pools: [`p=${backend}:${join(disk, name)},size=64Ti`] });
}

async function many(bench: Bench, disk: string): Promise<Figure[]> {
  const count = bench.quick ? 1000 : 10_000;
  const kind: Kind = { pool: "p", access: "block", fsType: "", size: 64 * mib };
  const empty = await start(bench, disk, "empty", "image");
  let full = await start(bench, disk, "full", "image");
  bench.say(`making ${count} volumes`);
  const made = await times(count, 8, (turn) => new Play(full.client, kind, "/", `present-${turn}`).create());
  // Started anew: what it knows of them it must find out.
  await full.stop();
  const again = await start(bench, disk, "full", "image");
  full = again;
  const first = new Timings();
  await first.time("list", () => full.client.controller.listVolumes({ maxEntries: 100 }));
  bench.say("creating beside them");
  const [few, more] = [new Timings(), new Timings()];
  for (let round = 0; round < (bench.quick ? 3 : 10); round += 1) {
    for (const [driver, timings] of [
      [empty, few],
      [full, more],
    ] as const) {
      for (let turn = 0; turn < 20; turn += 1) {
        const play = new Play(driver.client, kind, "/", `extra-${round}-${turn}`, timings);
        await play.create();
        await play.remove();
      }
    }
  }
  const pages = await listAll(full, more);
  const [with0, withMany] = [median(few.of("CreateVolume")), median(more.of("CreateVolume"))];
  const page = median(more.of("page"));
  await empty.stop();
  await full.stop();
  return [
    {
      name: `CreateVolume with ${count} volumes present`,
      value: withMany,
      unit: "ms p50",
      beside: { name: "ms with none", value: with0, ratio: withMany / with0 },
      target: atMost(withMany / with0, 1.3, "times an empty pool"),
      more: { p99: percentile(more.of("CreateVolume"), 0.99), makingAllASecond: made.done / made.seconds },
    },
    {
      name: `ListVolumes, a page of 100 of ${count}`,
      value: page,
      unit: "ms p50",
      target: atMost(page, 10, "ms"),
      more: { p99: percentile(more.of("page"), 0.99), pages },
      note: `p99 ${percentile(more.of("page"), 0.99).toFixed(1)} ms`,
    },
    {
      name: "the first page after a start, which finds out what is there",
      value: median(first.of("list")),
      unit: "ms",
    },
  ];
}

async function listAll(driver: Driver, timings: Timings): Promise<number> {
  let pages = 0;
  for (let round = 0; round < 2; round += 1) {
    for (let startingToken = "", more = true; more; pages += 1) {
      const asked = { maxEntries: 100, startingToken };
      const { nextToken } = await timings.time(round === 0 ? "warming" : "page", () =>
        driver.client.controller.listVolumes(asked),
      );
      startingToken = nextToken;
      more = nextToken !== "";
    }
  }
  return pages / 2;
}

async function crowd(bench: Bench, disk: string): Promise<Figure[]> {
  const count = bench.quick ? 100 : 1000;
  const figures: Figure[] = [];
  const loopsBefore = loopCount();
  for (const [name, backend, kind] of [
    ["directory", "directory", { pool: "p", access: "mount", fsType: "", size: mib }],
    ["image block", "image", { pool: "p", access: "block", fsType: "", size: 16 * mib }],
  ] as const) {
    const driver = await start(bench, disk, `crowd-${backend}`, backend);
    const folder = mkdtempSync(join(bench.scratch.path, "mounts-"));
    const alone = await publishing(bench, driver, kind, folder, "alone");
    bench.say(`${name}: staging ${count} volumes`);
    const crowd = Array.from({ length: count }, (_, at) => new Play(driver.client, kind, folder, `crowd-${at}`));
    await times(count, 8, async (turn) => {
      await crowd[turn]?.create();
      await crowd[turn]?.stage();
    });
    const beside = await publishing(bench, driver, kind, folder, "beside");
    bench.say(`${name}: unstaging them`);
    await times(count, 8, async (turn) => {
      await crowd[turn]?.unstage();
      await crowd[turn]?.remove();
    });
    await driver.stop();
    figures.push(...crowdFigures(`${name}, ${count} staged`, alone, beside));
  }
  forgetSpareLoops(loopsBefore);
  return figures;
}

async function publishing(bench: Bench, driver: Driver, kind: Kind, folder: string, name: string): Promise<Timings> {
  const timings = new Timings();
  for (let turn = 0; turn < (bench.quick ? 20 : 100); turn += 1) {
    const play = new Play(driver.client, kind, folder, `${name}-${turn}`, timings);
    await play.whole();
  }
  return timings;
}

function crowdFigures(name: string, alone: Timings, beside: Timings): Figure[] {
  return ["NodeStageVolume", "NodePublishVolume", "NodeUnpublishVolume", "NodeUnstageVolume"].map((rpc) => {
    const [value, one] = [median(beside.of(rpc)), median(alone.of(rpc))];
    const limited = rpc.includes("ublish");
    return {
      name: `${name}: ${rpc}`,
      value,
      unit: "ms p50",
      beside: { name: "ms with one", value: one, ratio: value / one },
      ...(limited ? { target: atMost(value, 3, "ms") } : {}),
      more: { p99: percentile(beside.of(rpc), 0.99) },
    };
  });
}
