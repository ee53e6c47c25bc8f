/** Twenty pods with a claim each, on a kubelet: from the first that was made to the last that is ready. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Pod } from "kubernetes-types/core/v1.js";
import { startInformer } from "../../src/kubernetes/api/informer.ts";
import { pods as podKind } from "../../src/kubernetes/api/resources.ts";
import { createLog } from "../../src/observe/log.ts";
import { podSpec } from "../../test/support/cluster/claims.ts";
import { type Kubelet, startKubelet } from "../../test/support/cluster/kubelet.ts";
import type { Bench } from "../support/bench.ts";
import { cpuMs } from "../support/driver.ts";
import type { Table } from "../support/figure.ts";
import { type Audit, openAudit } from "./audit.ts";
import { memoryFigures, memoryOf } from "./memory.ts";
import { oursOnNode, upstreamOnNode } from "./node-sides.ts";
import { type PodSteps, podStepFigures, podStepsOf } from "./pod-steps.ts";
import { namespace, openScene, raisedLimits, type Scene } from "./scene.ts";
import { instant, type Side } from "./sides.ts";

export interface NodeScene extends Scene {
  readonly kubelet: Kubelet;
}

/** A scene whose one node has a kubelet. The pool's folder was there before the machine, which sees it. */
export async function openNodeScene(bench: Bench, kcmArgs: readonly string[], audit?: Audit): Promise<NodeScene> {
  const { apiServerArgs = [] } = audit ?? {};
  const scene = await openScene(bench, { withNode: false, kcmArgs, apiServerArgs });
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

interface Measured {
  readonly seconds: number;
  readonly memory: ReturnType<typeof memoryOf>;
  readonly cpu: number;
  readonly steps: readonly PodSteps[];
}

async function measure(bench: Bench, kcmArgs: readonly string[], how: string): Promise<readonly Table[]> {
  const audit = openAudit(bench.scratch);
  const scene = await openNodeScene(bench, kcmArgs, audit);
  const count = bench.quick ? 10 : 20;
  const watching = new AbortController();
  bench.scratch.later(() => watching.abort());
  const log = createLog({ level: "warn", format: "json" });
  const seen = startInformer(scene.api, podKind, { namespace }, log, watching.signal);
  await seen.synced;
  const run = (prefix: string, withClaims: boolean) => runPods(scene, [...namesOf(prefix, count)], withClaims, seen);

  bench.say("pods without claims");
  await run("warm", false);
  const bare = (await run("bare", false)).seconds;
  const { plane, kubelet, pool } = scene;
  const measured = async (side: Side): Promise<Measured> => {
    bench.say(`${side.name} starts`);
    await side.start();
    await run(`${side.name}-warm`, true);
    await sleep(restMs);
    const cpu = () => side.pids().reduce((total, pid) => total + cpuMs(pid), 0);
    const before = cpu();
    const { seconds, ready } = await run(side.name, true);
    const spent = (cpu() - before) / count;
    bench.say(`${side.name}: ${seconds.toFixed(2)} s`);
    const memory = memoryOf(side.pids());
    await side.stop();
    const requests = audit.read();
    const steps = [...ready].flatMap(([name, at]) => podStepsOf(requests, name, at) ?? []);
    return { seconds, memory, cpu: spent, steps };
  };
  const atOnce = await measured(instant(plane, "/run/bench-volumes"));
  const own = await measured(oursOnNode(plane, kubelet, pool));
  const theirs = await measured(upstreamOnNode(plane, kubelet, pool));
  const ratio = own.seconds / theirs.seconds;
  const besides = (name: string, value: number) => ({ name, value, ratio: own.seconds / value });
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
          name: "beside claims that get a plain folder at once",
          value: own.seconds,
          unit: "s",
          beside: besides("s at once", atOnce.seconds),
        },
        {
          name: "beside the same pods without claims",
          value: own.seconds,
          unit: "s",
          beside: besides("s bare", bare),
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
        {
          name: "processor time of driver and helpers a pod, made and deleted",
          value: own.cpu,
          unit: "ms",
          beside: { name: "ms upstream", value: theirs.cpu, ratio: own.cpu / theirs.cpu },
        },
      ],
    },
    { title: "Where a pod's time goes", figures: podStepFigures(own.steps, theirs.steps, atOnce.steps) },
    { title: `Memory after ${count} pods`, figures: memoryFigures(own.memory, theirs.memory) },
  ];
}

const namesOf = (prefix: string, count: number) =>
  prefix.endsWith("warm") ? [prefix] : Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

/** As the API server's log has it, on the same machine. */
const now = (): number => performance.timeOrigin + performance.now();

type Seen = ReturnType<typeof startInformer<Pod>>;

interface Ran {
  /** Until all were ready. */
  readonly seconds: number;
  /** When each was, in milliseconds since 1970. */
  readonly ready: ReadonlyMap<string, number>;
}

/** When it returns nothing of them is left. */
async function runPods(scene: Scene, names: readonly string[], withClaims: boolean, seen: Seen): Promise<Ran> {
  const { plane, api, clock } = scene;
  const ready = new Map<string, number>();
  const end = seen.on(({ object: { metadata, status } }) => {
    const is = status?.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True");
    if (is && !ready.has(metadata?.name ?? "")) ready.set(metadata?.name ?? "", now());
  });
  const began = now();
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
  return { seconds: (Math.max(...names.map((name) => ready.get(name) ?? Number.NaN)) - began) / 1000, ready };
}
