/** What every helper is given: the cluster, the driver behind its socket, and whom it acts for. */
import type { CsiClient } from "../csi/client.ts";
import type { Log } from "../observe/log.ts";
import type { ApiClient } from "./api/client.ts";
import type { EventRecorder } from "./api/events.ts";
import { type Informer, type InformerOptions, startInformer } from "./api/informer.ts";
import type { ApiObject, Resource } from "./api/resources.ts";
import type { DriverFacts } from "./driver-facts.ts";

export interface HelperContext {
  readonly api: ApiClient;
  readonly csi: CsiClient;
  readonly driver: DriverFacts;
  readonly events: EventRecorder;
  readonly log: Log;
  /**
   * The node whose volumes this helper acts for (node deployment: `driver.topology` is that node's). Absent: it acts for the whole cluster, alone or as the
   * holder of a Lease.
   */
  readonly node?: string;
  /** Ends the helper: nothing new begins, what runs is given the chance to end. */
  readonly signal: AbortSignal;
  readonly informers: Informers;
}

/** Informers that the helpers of one process share. */
export interface Informers {
  /**
   * The informer of this kind; one for each `name`, made at the first call with the options of that call. `name` says what is in it where it is not simply all of the
   * kind: `contents of this node`.
   */
  of<T extends ApiObject>(resource: Resource<T>, options?: InformerOptions<T>, name?: string): Informer<T>;
}

/** Informers that go on until `signal`. `until` gives the same ones to a helper that may end before: it is told nothing after its own signal. */
export function openInformers(
  api: ApiClient,
  log: Log,
  signal: AbortSignal,
): Informers & { until(end: AbortSignal): Informers } {
  const open = new Map<string, unknown>();
  const informers: Informers = {
    of<T extends ApiObject>(resource: Resource<T>, options: InformerOptions<T> = {}, name = "all") {
      const key = `${resource.group}/${resource.plural}: ${name}`;
      const known = open.get(key) as Informer<T> | undefined;
      if (known !== undefined) return known;
      const informer = startInformer(api, resource, options, log, signal);
      open.set(key, informer);
      return informer;
    },
  };
  const until = (end: AbortSignal): Informers => ({
    of: (resource, options, name) => {
      const informer = informers.of(resource, options, name);
      return {
        ...informer,
        on: (handler) => {
          const off = informer.on(handler);
          end.addEventListener("abort", off, { once: true });
          return off;
        },
      };
    },
  });
  return { ...informers, until };
}
