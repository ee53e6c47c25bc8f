/** One claim at a time: from the watch's first word of it to Bound, and where the time goes. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Bench } from "../support/bench.ts";
import { type Figure, median, percentile, type Table } from "../support/figure.ts";
import { openAudit } from "./audit.ts";
import { openScene, raisedLimits } from "./scene.ts";
import { instant, ours, type Side, upstream } from "./sides.ts";
import { type Served, type Steps, stepFigures, stepsOf } from "./steps.ts";
import { turn } from "./turns.ts";

/** The sidecars' client gives out 5 requests a second, 10 at once: so much apart, a claim does not wait for the one before. */
const apartMs = 1000;

export async function single(bench: Bench): Promise<readonly Table[]> {
  const audit = openAudit(bench.scratch);
  const scene = await openScene(bench, { kcmArgs: raisedLimits, apiServerArgs: audit.apiServerArgs });
  const sides = [ours(scene.plane, scene.pool), upstream(scene.plane, scene.pool), instant(scene.plane)];
  const times = new Map<string, number[]>(sides.map(({ name }) => [name, []]));
  const claims = new Map<string, Served[]>(sides.map(({ name }) => [name, []]));
  const [rounds, count] = bench.quick ? [1, 6] : [3, 6];
  const work = (side: Side) => async (prefix: string) => {
    const names = Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
    for (const name of names) {
      await sleep(apartMs);
      const { metadata } = await scene.claim(name);
      await scene.clock.bound([name]);
      times.get(side.name)?.push(scene.clock.boundIn([name]));
      claims.get(side.name)?.push({ name, uid: metadata?.uid ?? "" });
    }
    await sleep(apartMs);
    await Promise.all(names.map((name) => scene.remove(name)));
    await scene.clock.noVolumes();
  };
  for (let round = 0; round < rounds; round += 1) {
    // Who comes first changes: the machine is not the same at the end of a round as at its beginning.
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) await turn(bench, scene, side, work(side));
  }
  const of = (name: string) => times.get(name) ?? [];
  const value = median(of("ours"));
  const theirs = median(of("upstream"));
  const floor = median(of("instant"));
  const spread = Object.fromEntries(sides.map(({ name }) => [`${name} p90`, percentile(of(name), 0.9)]));
  const requests = audit.read();
  const steps = (name: string): Steps[] => (claims.get(name) ?? []).flatMap((claim) => stepsOf(requests, claim) ?? []);
  return [
    {
      title: `One claim, from the watch's first word of it to Bound (${rounds * count} of each side)`,
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
        ...sides.flatMap((side) => createVolumeFigure(side)),
      ],
    },
    { title: "Its steps", figures: stepFigures(steps("ours"), steps("upstream"), steps("instant")) },
  ];
}

/** By the driver's own log. */
function createVolumeFigure(side: Side): Figure[] {
  const text = side.log?.();
  if (text === undefined) return [];
  const calls = text
    .split("\n")
    .filter((line) => line.includes('"rpc":"CreateVolume"') && line.includes('"msg":"call"'))
    .map((line) => (JSON.parse(line) as { ms: number }).ms);
  return [{ name: `CreateVolume within the driver, ${side.name}`, value: median(calls), unit: "ms p50" }];
}
