/** Many nodes: what a claim costs the API server when every node watches, and how many claims this machine can take then. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ensure } from "../../test/support/cluster/objects.ts";
import { type Service, startService } from "../../test/support/cluster/service.ts";
import type { Bench } from "../support/bench.ts";
import { cpuMs } from "../support/driver.ts";
import type { Figure, Table } from "../support/figure.ts";
import { openScene, raisedLimits, type Scene } from "./scene.ts";
import { between, type Cost, costOf, loadOf } from "./server-cost.ts";
import { driverName } from "./sides.ts";

/** One process can't be too many nodes: what it is told it must also hear in time. */
const perProcess = 250;
const idleMs = 3000;

export async function nodes(bench: Bench): Promise<readonly Table[]> {
  const scene = await openScene(bench, { kcmArgs: raisedLimits, withNode: false });
  const steps = bench.quick ? [10, 100] : [10, 100, 300, 1000];
  const processes: Service[] = [];
  const tables: Table[] = [];
  let running = 0;
  for (const count of steps) {
    bench.say(`${count} nodes`);
    await makeNodes(scene, running, count);
    const began = performance.now();
    const before = await costOf(scene.plane.api, scene.plane.apiServer.pid);
    await grow(scene, processes, running, count);
    const start = between(before, await costOf(scene.plane.api, scene.plane.apiServer.pid));
    const startSeconds = (performance.now() - began) / 1000;
    const added = count - running;
    running = count;
    // The more nodes, the more each claim costs: a step is to take seconds, not minutes.
    const claims = Math.max(10, Math.min(40, Math.round(4000 / count)));
    tables.push(await measure(bench, scene, processes, { count, claims, added, start, startSeconds }));
  }
  return tables;
}

/** Makes the nodes `from` to `to`; kubelets would. */
async function makeNodes({ plane }: Scene, from: number, to: number): Promise<void> {
  let next = from;
  const maker = async () => {
    while (next < to) await ensure(plane.api, "/api/v1/nodes", `f${next++}`);
  };
  await Promise.all(Array.from({ length: 10 }, maker));
}

/** Starts what runs on the nodes `from` to `to`, and waits until their first lists are in. */
async function grow(scene: Scene, processes: Service[], from: number, to: number): Promise<void> {
  const { plane } = scene;
  const fresh: Service[] = [];
  // Not one process after the other filled: this machine's processors are to share the work.
  const parts = Math.max(2, Math.ceil((to - from) / perProcess));
  const size = Math.ceil((to - from) / parts);
  for (let first = from; first < to; first += size) {
    const name = `nodes-${first}`;
    const socket = join(plane.scratch.path, `${name}.sock`);
    const count = Math.min(size, to - first);
    const args = [plane.admin, driverName, socket, String(first), String(count)];
    fresh.push(
      plane.watch(
        startService(plane.scratch, {
          name,
          program: join(import.meta.dirname, "../../bin/holdfast-node"),
          args: [join(import.meta.dirname, "fake-nodes.ts"), ...args],
        }),
      ),
    );
  }
  const ready = () => fresh.every((service) => service.log().includes("nodes are ready")) || undefined;
  await plane.until(`${to} nodes are ready`, ready, { withinMs: 90_000, everyMs: 100 });
  processes.push(...fresh);
}

/** What the server does at rest, once what the start of many nodes set off is over; at most half a minute is waited for that. */
async function untilQuiet(cost: () => Promise<Cost>): Promise<Cost> {
  for (let tries = 0; ; tries += 1) {
    const before = await cost();
    await sleep(idleMs);
    const idle = between(before, await cost());
    if (tries === 10 || idle.cpuSeconds * 1000 < 0.15 * idleMs) return idle;
  }
}

interface Step {
  readonly count: number;
  readonly claims: number;
  readonly added: number;
  readonly start: Cost;
  readonly startSeconds: number;
}

async function measure(bench: Bench, scene: Scene, processes: readonly Service[], step: Step): Promise<Table> {
  const { plane, clock } = scene;
  const { count, claims, added, start, startSeconds } = step;
  const cost = () => costOf(plane.api, plane.apiServer.pid);
  const nodesMs = () => processes.reduce((total, { pid }) => total + cpuMs(pid), 0);
  const idle = await untilQuiet(cost);
  const load = await loadOf(plane.api, plane.apiServer.pid);

  const names = Array.from({ length: claims }, (_, index) => `n${count}-${index}`);
  const [before, nodesBefore] = [await cost(), nodesMs()];
  const began = performance.now();
  await Promise.all(names.map((name, index) => scene.claim(name, `f${Math.floor((index * count) / claims)}`)));
  await clock.bound(names);
  const bound = clock.boundIn(names) / 1000;
  const removing = performance.now();
  await Promise.all(names.map((name) => scene.remove(name)));
  const gone = ((await clock.noVolumes()) - removing) / 1000;
  // The last watchers are told after the first.
  await sleep(1000);
  const all = between(before, await cost());
  const seconds = (performance.now() - began) / 1000;
  const perClaim = (value: number, quietly: number) => (value - (quietly * seconds * 1000) / idleMs) / claims;
  bench.say(`${count} nodes: ${claims} claims bound in ${bound.toFixed(2)} s, gone in ${gone.toFixed(2)} s`);

  const cpu = perClaim(all.cpuSeconds, idle.cpuSeconds);
  const figures: Figure[] = [
    { name: "requests a claim", value: perClaim(all.requests, idle.requests), unit: "" },
    {
      name: "watch events a claim",
      value: perClaim(all.watchEvents, idle.watchEvents),
      unit: "",
      more: { megabytes: perClaim(all.watchMegabytes, idle.watchMegabytes) },
      note: `${perClaim(all.watchMegabytes, idle.watchMegabytes).toFixed(2)} MB`,
    },
    { name: "processor time of the API server a claim", value: cpu * 1000, unit: "ms" },
    { name: "so at most, by one processor of it", value: 1 / cpu, unit: "claims a second" },
    { name: "processor time of one node a claim", value: (nodesMs() - nodesBefore) / claims / count, unit: "ms" },
    { name: `${claims} claims at once to Bound`, value: bound, unit: "s" },
    { name: `${claims} claims deleted, until the PVs are gone`, value: gone, unit: "s" },
    {
      name: `${added} nodes start`,
      value: startSeconds,
      unit: "s",
      note: `${((start.cpuSeconds * 1000) / added).toFixed(0)} ms of the API server each`,
      more: { requestsEach: start.requests / added, cpuMsEach: (start.cpuSeconds * 1000) / added },
    },
    { name: "watches that are open", value: load.watches, unit: "" },
    { name: "the API server's resident memory", value: load.megabytes, unit: "MB" },
    { name: "its processor time at rest", value: (idle.cpuSeconds * 1000) / idleMs, unit: "of one" },
  ];
  return { title: `${count} nodes: what one claim costs, made and deleted`, figures };
}
