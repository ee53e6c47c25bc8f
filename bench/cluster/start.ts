/** How soon a driver with its helpers is there: its socket, and the kubelet's entry for it. */
import { setTimeout as sleep } from "node:timers/promises";
import type { CSINode } from "kubernetes-types/storage/v1.js";
import { connect } from "../../src/csi/client.ts";
import { startInformer } from "../../src/kubernetes/api/informer.ts";
import { csiNodes } from "../../src/kubernetes/api/resources.ts";
import { createLog } from "../../src/observe/log.ts";
import type { Bench } from "../support/bench.ts";
import { accepts } from "../support/driver.ts";
import { atMost, median, type Table } from "../support/figure.ts";
import { oursOnNode, socketIn } from "./node-sides.ts";
import { openNodeScene } from "./pods.ts";
import { raisedLimits } from "./scene.ts";
import { driverName } from "./sides.ts";

export async function start(bench: Bench): Promise<readonly Table[]> {
  const { plane, api, kubelet, pool } = await openNodeScene(bench, raisedLimits);
  const watching = new AbortController();
  bench.scratch.later(() => watching.abort());
  const log = createLog({ level: "warn", format: "json" });
  let enteredAt: number | undefined;
  startInformer(api, csiNodes, {}, log, watching.signal).on(({ object: { metadata, spec } }: { object: CSINode }) => {
    if (metadata?.name !== kubelet.name) return;
    const entered = (spec.drivers ?? []).some(({ name }) => name === driverName);
    enteredAt = entered ? (enteredAt ?? performance.now()) : undefined;
  });
  const side = oursOnNode(plane, kubelet, pool);
  const socket = kubelet.machine.outside(socketIn(kubelet));
  await side.start(); // compiles, and keeps what it compiled
  await side.stop();
  const [sockets, entries]: [number[], number[]] = [[], []];
  for (let turn = 0; turn < (bench.quick ? 3 : 8); turn += 1) {
    bench.say(`start ${turn + 1}`);
    enteredAt = undefined;
    const began = performance.now();
    const started = side.start();
    sockets.push((await answers(socket)) - began);
    await started;
    const at = await plane.until("the watch told of the entry", () => enteredAt, { everyMs: 5 });
    entries.push(at - began);
    await side.stop();
  }
  const figure = (name: string, values: readonly number[], limit: number) => {
    const value = median(values);
    return { name, value, unit: "s p50", target: atMost(value, limit, "s"), more: { most: Math.max(...values) } };
  };
  const seconds = (values: readonly number[]) => values.map((value) => value / 1000);
  return [
    {
      title: "The start of serve --kubernetes, from its spawn",
      figures: [
        figure("to a Probe that answers ready", seconds(sockets), 0.5),
        figure("to the entry in CSINode", seconds(entries), 2),
      ],
    },
  ];
}

/** When the driver answers. gRPC's own reconnecting waits a tenth of a second at least, so the socket is tried first by itself. */
async function answers(socket: string): Promise<number> {
  const client = connect(`unix://${socket}`);
  try {
    for (const end = performance.now() + 15_000; performance.now() < end; await sleep(5)) {
      if (!(await accepts(socket))) continue;
      if ((await client.identity.probe({}, { timeoutMs: 5000 })).ready ?? true) return performance.now();
    }
  } finally {
    client.close();
  }
  throw new Error("the driver does not answer after 15 s");
}
