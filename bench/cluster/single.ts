/** One claim at a time: from the watch's first word of it to Bound. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Bench } from "../support/bench.ts";
import { median, percentile, type Table } from "../support/figure.ts";
import { openScene, raisedLimits } from "./scene.ts";
import { instant, ours, upstream } from "./sides.ts";
import { turn } from "./turns.ts";

/** The sidecars' client gives out 5 requests a second, 10 at once: so much apart, a claim does not wait for the one before. */
const apartMs = 1000;

export async function single(bench: Bench): Promise<readonly Table[]> {
  const scene = await openScene(bench, { kcmArgs: raisedLimits });
  const sides = [ours(scene.plane, scene.pool), upstream(scene.plane, scene.pool), instant(scene.plane)];
  const times = new Map<string, number[]>(sides.map(({ name }) => [name, []]));
  const count = bench.quick ? 6 : 10;
  for (let round = 0; round < (bench.quick ? 1 : 2); round += 1) {
    for (const side of sides) {
      await turn(bench, scene, side, async (prefix) => {
        for (let index = 0; index < count; index += 1) {
          await sleep(apartMs);
          const name = `${prefix}-${index}`;
          await scene.claim(name);
          await scene.clock.bound([name]);
          times.get(side.name)?.push(scene.clock.boundIn([name]));
        }
        await Promise.all(Array.from({ length: count }, (_, index) => scene.remove(`${prefix}-${index}`)));
        await scene.clock.noVolumes();
      });
    }
  }
  const of = (name: string) => times.get(name) ?? [];
  const value = median(of("ours"));
  const theirs = median(of("upstream"));
  const floor = median(of("instant"));
  const spread = Object.fromEntries(sides.map(({ name }) => [`${name} p90`, percentile(of(name), 0.9)]));
  return [
    {
      title: "One claim, from the watch's first word of it to Bound",
      figures: [
        {
          name: "one claim",
          value,
          unit: "ms p50",
          beside: { name: "ms upstream", value: theirs, ratio: value / theirs },
          target: { text: "at most 0.7 of upstream", met: value <= theirs * 0.7 },
          more: spread,
        },
        {
          name: "beside PVs made at once",
          value,
          unit: "ms p50",
          beside: { name: "ms instant", value: floor, ratio: value / floor },
        },
      ],
    },
  ];
}
