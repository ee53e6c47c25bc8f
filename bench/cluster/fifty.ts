/** Fifty claims at once, to Bound, and then deleted until their PVs are gone. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Bench } from "../support/bench.ts";
import { cpuMs } from "../support/driver.ts";
import type { Figure, Table } from "../support/figure.ts";
import { memoryFigures, memoryOf } from "./memory.ts";
import { openScene, raisedLimits, type Scene } from "./scene.ts";
import { instant, ours, type Side, upstream } from "./sides.ts";
import { turn } from "./turns.ts";

const countIn = ({ quick }: Bench): number => (quick ? 25 : 50);
/** Until the controller-manager may again send as many requests at once as at the start. */
const restMs = 3000;

interface Times {
  readonly bound: number;
  readonly gone: number;
}

/** With limits that hide nothing. Upstream has its own defaults; memory is read after the work. */
export async function fifty(bench: Bench): Promise<readonly Table[]> {
  const count = countIn(bench);
  const scene = await openScene(bench, { kcmArgs: raisedLimits });
  const measured = (side: Side) =>
    turn(bench, scene, side, async (prefix) => {
      const cpu = () => side.pids().reduce((total, pid) => total + cpuMs(pid), 0);
      const before = cpu();
      const times = await work(bench, scene, prefix);
      return { ...times, cpu: (cpu() - before) / count, memory: memoryOf(side.pids()) };
    });
  const [own, theirs, floor] = [ours(scene.plane, scene.pool), upstream(scene.plane, scene.pool), instant(scene.plane)];
  const one = await measured(own);
  const other = await measured(theirs);
  const instantly = await measured(floor);
  const again = bench.quick ? one : await measured(own);
  const both = mean([one, again]);
  const target = (ratio: number) => ({ text: "at least 4 times as fast as upstream", met: ratio >= 4 });
  const beside = (value: number, name: string, by: number): Pick<Figure, "beside"> => ({
    beside: { name, value, ratio: by },
  });
  return [
    {
      title: `${count} claims at once, the controller-manager's limits raised (ratio: how many times as fast)`,
      figures: [
        {
          name: `${count} claims to Bound`,
          value: both.bound,
          unit: "s",
          ...beside(other.bound, "s upstream", other.bound / both.bound),
          target: target(other.bound / both.bound),
          more: { first: one.bound, second: again.bound },
        },
        {
          name: `${count} deleted, until the PVs are gone`,
          value: both.gone,
          unit: "s",
          ...beside(other.gone, "s upstream", other.gone / both.gone),
          target: target(other.gone / both.gone),
          more: { first: one.gone, second: again.gone },
        },
        ...floorFigures(both, instantly),
        {
          name: "processor time a claim, driver and helpers",
          value: (one.cpu + again.cpu) / 2,
          unit: "ms",
          beside: { name: "ms upstream", value: other.cpu, ratio: (2 * other.cpu) / (one.cpu + again.cpu) },
        },
      ],
    },
    { title: `Memory after ${count} claims`, figures: memoryFigures(one.memory, other.memory) },
  ];
}

/** With the controller-manager as it comes, which sends 20 requests a second: who is as fast as that allows? */
export async function fiftyDefaults(bench: Bench): Promise<readonly Table[]> {
  const scene = await openScene(bench);
  const sides = [instant(scene.plane), ours(scene.plane, scene.pool)];
  const times = new Map<Side, Times[]>(sides.map((side) => [side, []]));
  for (let round = 0; round < (bench.quick ? 1 : 2); round += 1) {
    for (const side of sides) {
      times.get(side)?.push(
        await turn(bench, scene, side, async (prefix) => {
          await sleep(restMs);
          return work(bench, scene, prefix);
        }),
      );
    }
  }
  const [floor, own] = sides.map((side) => mean(times.get(side) ?? []));
  if (floor === undefined || own === undefined) throw new Error("a side was not measured");
  const figures = floorFigures(own, floor).map((figure) => ({
    ...figure,
    target: { text: "at most 1.1 of instant", met: (figure.beside?.ratio ?? Number.NaN) <= 1.1 },
  }));
  return [{ title: `${countIn(bench)} claims at once, the controller-manager's defaults`, figures }];
}

async function work(bench: Bench, scene: Scene, prefix: string): Promise<Times> {
  const names = Array.from({ length: countIn(bench) }, (_, index) => `${prefix}-${index}`);
  await Promise.all(names.map((name) => scene.claim(name)));
  await scene.clock.bound(names);
  const bound = scene.clock.boundIn(names) / 1000;
  // What the helpers still write after a claim is bound is none of the deletion's time.
  await sleep(restMs);
  const began = performance.now();
  await Promise.all(names.map((name) => scene.remove(name)));
  const gone = ((await scene.clock.noVolumes()) - began) / 1000;
  bench.say(`${prefix}: bound in ${bound.toFixed(2)} s, gone in ${gone.toFixed(2)} s`);
  return { bound, gone };
}

function floorFigures(own: Times, floor: Times): Figure[] {
  return (["bound", "gone"] as const).map((what) => ({
    name: what === "bound" ? "to Bound, beside PVs made at once" : "gone, beside PVs removed at once",
    value: own[what],
    unit: "s",
    beside: { name: "s instant", value: floor[what], ratio: own[what] / floor[what] },
  }));
}

function mean(times: readonly Times[]): Times {
  const of = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return { bound: of(times.map(({ bound }) => bound)), gone: of(times.map(({ gone }) => gone)) };
}
