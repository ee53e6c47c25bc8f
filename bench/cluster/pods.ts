/** Twenty pods with a claim each, on a kubelet: from the first that was made to the last that is ready. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Pod } from "kubernetes-types/core/v1.js";
import { startInformer } from "../../src/kubernetes/api/informer.ts";
import { pods as podKind } from "../../src/kubernetes/api/resources.ts";
import { createLog } from "../../src/observe/log.ts";
import { podSpec } from "../../test/support/cluster/claims.ts";
import { type Kubelet, startKubelet } from "../../test/support/cluster/kubelet.ts";
import type { Bench } from "../support/bench.ts";
import type { Table } from "../support/figure.ts";
import { memoryFigures, memoryOf } from "./memory.ts";
import { oursOnNode, upstreamOnNode } from "./node-sides.ts";
import { namespace, openScene, raisedLimits, type Scene } from "./scene.ts";

export interface NodeScene extends Scene {
  readonly kubelet: Kubelet;
}

/** A scene whose one node has a kubelet. The pool's folder was there before the machine, which sees it. */
export async function openNodeScene(bench: Bench, kcmArgs: readonly string[]): Promise<NodeScene> {
  const scene = await openScene(bench, { withNode: false, kcmArgs });
  await scene.plane.until("the namespace has its service account", () =>
    scene.plane.api.find(`/api/v1/namespaces/${namespace}/serviceaccounts/default`),
  );
  bench.say("starting a kubelet");
  return { ...scene, kubelet: await startKubelet(scene.plane) };
}

/** Until the controller-manager may again send as many requests at once as at the start. */
const restMs = 3000;

/** With limits that hide nothing. */
export const pods = (bench: Bench): Promise<readonly Table[]> => measure(bench, raisedLimits, "limits raised");

/** With the controller-manager as it comes, which sends 20 requests a second. */
export const podsDefaults = (bench: Bench): Promise<readonly Table[]> => measure(bench, [], "defaults");

async function measure(bench: Bench, kcmArgs: readonly string[], how: string): Promise<readonly Table[]> {
  const scene = await openNodeScene(bench, kcmArgs);
  const count = bench.quick ? 10 : 20;
  const watching = new AbortController();
  bench.scratch.later(() => watching.abort());
  const log = createLog({ level: "warn", format: "json" });
  const seen = startInformer(scene.api, podKind, { namespace }, log, watching.signal);
  await seen.synced;
  const run = (prefix: string, withClaims: boolean) => runPods(scene, [...namesOf(prefix, count)], withClaims, seen);

  bench.say("pods without claims");
  await run("warm", false);
  const bare = await run("bare", false);
  const measured: { seconds: number; memory: ReturnType<typeof memoryOf> }[] = [];
  const { plane, kubelet, pool } = scene;
  for (const side of [oursOnNode(plane, kubelet, pool), upstreamOnNode(plane, kubelet, pool)]) {
    bench.say(`${side.name} starts`);
    await side.start();
    await run(`${side.name}-warm`, true);
    await sleep(restMs);
    const seconds = await run(side.name, true);
    bench.say(`${side.name}: ${seconds.toFixed(2)} s`);
    measured.push({ seconds, memory: memoryOf(side.pids()) });
    await side.stop();
  }
  const [own, theirs] = measured;
  if (own === undefined || theirs === undefined) throw new Error("a side was not measured");
  const ratio = own.seconds / theirs.seconds;
  return [
    {
      title: `${count} pods with a claim each, on one kubelet, the controller-manager's ${how}`,
      figures: [
        {
          name: `${count} pods to ready`,
          value: own.seconds,
          unit: "s",
          beside: { name: "s upstream", value: theirs.seconds, ratio },
          target: { text: "at most 0.7 of upstream", met: ratio <= 0.7 },
        },
        {
          name: "beside the same pods without claims",
          value: own.seconds,
          unit: "s",
          beside: { name: "s bare", value: bare, ratio: own.seconds / bare },
        },
        {
          name: "what the claims add to them",
          value: own.seconds - bare,
          unit: "s",
          beside: {
            name: "s upstream",
            value: theirs.seconds - bare,
            ratio: (own.seconds - bare) / (theirs.seconds - bare),
          },
        },
      ],
    },
    { title: `Memory after ${count} pods`, figures: memoryFigures(own.memory, theirs.memory) },
  ];
}

const namesOf = (prefix: string, count: number) =>
  prefix.endsWith("warm") ? [prefix] : Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

type Seen = ReturnType<typeof startInformer<Pod>>;

/** Seconds until all are ready; when it returns nothing of them is left. */
async function runPods(scene: Scene, names: readonly string[], withClaims: boolean, seen: Seen): Promise<number> {
  const { plane, api, clock } = scene;
  const ready = new Map<string, number>();
  const end = seen.on(({ object: { metadata, status } }) => {
    const is = status?.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True");
    if (is && !ready.has(metadata?.name ?? "")) ready.set(metadata?.name ?? "", performance.now());
  });
  const began = performance.now();
  await Promise.all(
    names.map(async (name) => {
      if (withClaims) await scene.claim(name, null);
      const options = withClaims
        ? { claims: { "/data": name } }
        : { volumes: [{ name: "empty", emptyDir: {} }], mounts: { "/data": "empty" } };
      const spec = podSpec(options) as NonNullable<Pod["spec"]>;
      await api.create(podKind, { metadata: { name, namespace }, spec });
    }),
  );
  const all = () => names.every((name) => ready.has(name)) || undefined;
  await plane.until("all pods are ready", all, { withinMs: 90_000, everyMs: 5 });
  end();
  await Promise.all(
    names.map((name) => plane.api.remove(`/api/v1/namespaces/${namespace}/pods/${name}?gracePeriodSeconds=1`)),
  );
  const gone = () => names.every((name) => seen.get(name, namespace) === undefined) || undefined;
  await plane.until("all pods are gone", gone, { withinMs: 60_000 });
  if (withClaims) {
    await Promise.all(names.map((name) => scene.remove(name)));
    await clock.noVolumes();
  }
  return (Math.max(...names.map((name) => ready.get(name) ?? Number.NaN)) - began) / 1000;
}
