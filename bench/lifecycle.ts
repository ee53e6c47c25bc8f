/** Whole lives of volumes: create, stage, publish, unpublish, unstage, delete; against the same steps done bare. */
import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { makePoolDisk } from "../test/support/pool-disk.ts";
import type { Bench } from "./support/bench.ts";
import { during, type Round, rate } from "./support/callers.ts";
import { cpuMs, type Driver, startDriver } from "./support/driver.ts";
import { atLeast, atMost, type Figure, median, percentile, shown, type Table } from "./support/figure.ts";
import { directoryLife, type FloorPlace, mountedLife, rawLife } from "./support/floor.ts";
import { type Kind, Play, Timings } from "./support/orchestrator.ts";

const gib = 2 ** 30;

interface Case {
  readonly name: string;
  readonly kind: Kind;
  readonly floor: (place: FloorPlace, name: string) => Promise<void>;
  /** The floor with programs started as the driver starts them. */
  readonly quickFloor?: (place: FloorPlace, name: string) => Promise<void>;
}

const cases: readonly Case[] = [
  {
    name: "image ext4",
    kind: { pool: "image", access: "mount", fsType: "ext4", size: gib },
    floor: (place, name) => mountedLife(place, name, "ext4", gib),
    quickFloor: (place, name) => mountedLife(place, name, "ext4", gib, true),
  },
  {
    name: "image xfs",
    kind: { pool: "image", access: "mount", fsType: "xfs", size: gib },
    floor: (place, name) => mountedLife(place, name, "xfs", gib),
    quickFloor: (place, name) => mountedLife(place, name, "xfs", gib, true),
  },
  {
    name: "image block",
    kind: { pool: "image", access: "block", fsType: "", size: gib },
    floor: (place, name) => rawLife(place, name, gib),
  },
  {
    name: "directory",
    kind: { pool: "directory", access: "mount", fsType: "", size: gib },
    floor: directoryLife,
  },
];

const rpcs = [
  "CreateVolume",
  "NodeStageVolume",
  "NodePublishVolume",
  "NodeUnpublishVolume",
  "NodeUnstageVolume",
  "DeleteVolume",
];

export async function lifecycle(bench: Bench): Promise<readonly Table[]> {
  const disk = await makePoolDisk(bench.scratch, "xfs", { bytes: 64 * gib });
  // Thousands of folders come and go here, and ext4 takes the longer to make one the more went in the last five seconds.
  const targets = await makePoolDisk(bench.scratch, "xfs", { bytes: gib });
  const place: FloorPlace = { pool: join(disk.path, "floor"), mounts: mkdtempSync(join(targets.path, "floor-")) };
  for (const name of ["image", "directory", "floor"]) mkdirSync(join(disk.path, name));
  const driver = await startDriver(bench.scratch, {
    program: bench.program,
    pools: ["image", "directory"].map((each) => `${each}=${each}:${join(disk.path, each)},size=8Ti`),
  });
  const folder = mkdtempSync(join(targets.path, "mounts-"));
  const rates: Figure[] = [];
  const calls: Figure[] = [];
  for (const each of cases) {
    const timings = new Map<number, Timings>();
    for (const callers of [1, 8, 64]) {
      bench.say(`${each.name}, ${callers} ${callers === 1 ? "caller" : "callers"}`);
      const measured = await measure(bench, each, callers, driver, place, folder);
      rates.push(rateFigure(each, callers, measured));
      if (measured.quickFloor.length > 0) rates.push(quickFloorFigure(each, measured));
      timings.set(callers, measured.timings);
    }
    calls.push(...callFigures(each, timings));
  }
  await driver.stop();
  await disk.unmount();
  await targets.unmount();
  return [
    {
      title: "Whole lives a second, beside the floor: the same steps done bare, in turns with the driver",
      figures: rates,
    },
    { title: "Each call of them with 1 caller (in brackets with more: p50, p99, in ms)", figures: calls },
  ];
}

interface Measured {
  readonly driver: readonly Round[];
  readonly floor: readonly Round[];
  /** None where the case has no such floor, and beside other than 8 callers. */
  readonly quickFloor: readonly Round[];
  readonly timings: Timings;
  /** Of the driver's process and its children. */
  readonly cpuMs: number;
}

/** Driver and floor take turns, so that what the machine does beside them falls on both. */
async function measure(
  bench: Bench,
  each: Case,
  callers: number,
  driver: Driver,
  place: FloorPlace,
  folder: string,
): Promise<Measured> {
  const timings = new Timings();
  const [rounds, ms] = bench.quick ? [2, 700] : [4, 2000];
  const play = (prefix: string, kept: Timings) => (turn: number) =>
    new Play(driver.client, each.kind, folder, `${prefix}-${turn}`, kept).whole();
  // V8 compiles what has run some forty times.
  await during(ms, callers, play(`${each.name}-${callers}-warm`, new Timings()));
  const done: Record<"driver" | "floor" | "quickFloor", Round[]> = { driver: [], floor: [], quickFloor: [] };
  const { quickFloor } = callers === 8 ? each : {};
  let cpu = 0;
  for (let round = 0; round < rounds; round += 1) {
    const before = cpuMs(driver.pid);
    done.driver.push(await during(ms, callers, play(`${each.name}-${callers}-${round}`, timings)));
    cpu += cpuMs(driver.pid) - before;
    done.floor.push(await during(ms, callers, (turn) => each.floor(place, `f${turn}`)));
    if (quickFloor) done.quickFloor.push(await during(ms, callers, (turn) => quickFloor(place, `q${turn}`)));
  }
  return { ...done, timings, cpuMs: cpu };
}

function rateFigure(each: Case, callers: number, measured: Measured): Figure {
  const value = rate(measured.driver);
  const floor = rate(measured.floor);
  const ratio = value / floor;
  const ratios = measured.driver.map((round, at) => rate([round]) / rate(measured.floor.slice(at, at + 1)));
  const lives = measured.driver.reduce((total, round) => total + round.done, 0);
  return {
    name: `${each.name}, ${callers} ${callers === 1 ? "caller" : "callers"}`,
    value,
    unit: "a second",
    beside: { name: "floor", value: floor, ratio },
    ...(callers === 8 ? target(each.name, value, floor) : {}),
    more: {
      lives,
      leastRatio: Math.min(...ratios),
      medianRatio: median(ratios),
      mostRatio: Math.max(...ratios),
      driverCpuMsALife: measured.cpuMs / lives,
    },
  };
}

/** For honesty's sake: the driver starts mkfs in a way that a plain Node program does not, and the floor could too. */
function quickFloorFigure(each: Case, measured: Measured): Figure {
  const value = rate(measured.driver);
  const floor = rate(measured.quickFloor);
  return {
    name: `${each.name}, 8 callers, beside a floor that starts mkfs as the driver does`,
    value,
    unit: "a second",
    beside: { name: "floor", value: floor, ratio: value / floor },
  };
}

function target(name: string, value: number, floor: number): Pick<Figure, "target"> {
  if (name === "image ext4") return { target: atLeast(value / floor, 0.6, "of the floor") };
  if (name !== "directory") return {};
  if (floor >= 200) return { target: atLeast(value, 200, "a second") };
  return { target: atLeast(value / floor, 0.5, "of the floor") };
}

/** With one caller, and in brackets with more: p50 and p99. */
function callFigures(each: Case, timings: ReadonlyMap<number, Timings>): Figure[] {
  return rpcs.map((rpc) => {
    const at = (callers: number, share: number) => percentile(timings.get(callers)?.of(rpc) ?? [], share);
    const [p50, p99] = [at(1, 0.5), at(1, 0.99)];
    const limited = rpc === "NodePublishVolume" || rpc === "NodeUnpublishVolume";
    const more = [8, 64].map((callers) => `${callers} callers ${shown(at(callers, 0.5))}, ${shown(at(callers, 0.99))}`);
    return {
      name: `${each.name}: ${rpc}`,
      note: more.join("; "),
      value: p50,
      unit: "ms p50",
      beside: { name: "ms p99", value: p99, ratio: p99 / p50 },
      ...(limited ? { target: atMost(p50, 1.5, "ms") } : {}),
      more: { p50With8: at(8, 0.5), p99With8: at(8, 0.99), p50With64: at(64, 0.5), p99With64: at(64, 0.99) },
    };
  });
}
