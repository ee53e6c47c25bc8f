/** What the API server did and what it cost, by its own counters and the kernel's. */
import type { Api } from "../../test/support/cluster/api.ts";
import { cpuMs, residentMb } from "../support/driver.ts";

export interface Cost {
  /** Requests that were answered; watches apart. */
  readonly requests: number;
  /** One for each watcher that was told. */
  readonly watchEvents: number;
  readonly watchMegabytes: number;
  readonly cpuSeconds: number;
}

/** Since its start. */
export async function costOf(api: Api, pid: number): Promise<Cost> {
  const text = await api.get<string>("/metrics");
  const cpuSeconds = cpuMs(pid) / 1000;
  return {
    requests: sum(text, "apiserver_request_total", (labels) => !labels.includes('verb="WATCH"')),
    watchEvents: sum(text, "apiserver_watch_events_total"),
    watchMegabytes: sum(text, "apiserver_watch_events_sizes_sum") / 1e6,
    cpuSeconds,
  };
}

export const between = (before: Cost, after: Cost): Cost => ({
  requests: after.requests - before.requests,
  watchEvents: after.watchEvents - before.watchEvents,
  watchMegabytes: after.watchMegabytes - before.watchMegabytes,
  cpuSeconds: after.cpuSeconds - before.cpuSeconds,
});

/** How many watches are open, and the server's resident megabytes. */
export async function loadOf(api: Api, pid: number): Promise<{ readonly watches: number; readonly megabytes: number }> {
  const text = await api.get<string>("/metrics");
  const watches = sum(text, "apiserver_longrunning_requests", (labels) => labels.includes('verb="WATCH"'));
  return { watches, megabytes: residentMb(pid) };
}

/** Over all label sets of a metric in the text format of Prometheus that `takes` takes. */
function sum(text: string, name: string, takes: (labels: string) => boolean = () => true): number {
  let total = 0;
  for (const line of text.split("\n")) {
    if (!line.startsWith(`${name}{`)) continue;
    const end = line.lastIndexOf("}");
    if (takes(line.slice(name.length, end))) total += Number(line.slice(end + 1));
  }
  return total;
}
