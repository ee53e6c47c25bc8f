/**
 * Runs helpers over one driver and one cluster: finds both, waits for what is not there yet, leads by a Lease where that
 * is asked for, and begins again what failed. Nothing that fails here ends the process: the driver may be in it.
 */
import { randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { type CsiClient, connect } from "../csi/client.ts";
import { socketPathOf } from "../csi/endpoint.ts";
import { within } from "../host/within.ts";
import { apart } from "../observe/apart.ts";
import type { Log } from "../observe/log.ts";
import { type ApiClient, openClient } from "./api/client.ts";
import { type Cluster, findCluster } from "./api/cluster.ts";
import { openEvents } from "./api/events.ts";
import { leadWhileHeld } from "./api/leader.ts";
import { type DriverFacts, learnDriver } from "./driver-facts.ts";
import { type HelperContext, openInformers } from "./helper.ts";

/** Works until the context's signal and then ends; what it throws before that is logged, and it is begun again. */
export interface Helper {
  readonly name: string;
  readonly run: (context: HelperContext) => Promise<void>;
}

/** What a helper is given that looks after the cluster and speaks to no driver. */
export type ClusterContext = Pick<HelperContext, "api" | "events" | "log" | "signal" | "informers">;

export interface ClusterHelper {
  readonly name: string;
  readonly run: (context: ClusterContext) => Promise<void>;
}

export interface HelperSet {
  /** Absent: only those without a driver. */
  readonly beside?: {
    readonly csiAddress: string;
    readonly helpers: readonly Helper[];
    /** The Node object's name: they act only for this node's volumes. Absent: for the whole cluster. */
    readonly node?: string;
  };
  readonly alone?: {
    /** In whose name they speak. */
    readonly driverName: string;
    readonly helpers: readonly ClusterHelper[];
  };
  /** Absent: KUBECONFIG, else the pod's own account. */
  readonly cluster?: string | Cluster;
  /** One process at a time. `name` is made from the driver's name; absent `namespace`: the pod's, else `default`. */
  readonly lease?: { readonly namespace?: string; readonly name: (driver: string) => string };
  /** As the API server's audit log shows it. */
  readonly userAgent: string;
  readonly log: Log;
  /** Ends all of them. */
  readonly signal: AbortSignal;
  readonly timing?: Partial<Timing>;
}

/** Milliseconds. */
export interface Timing {
  /** The first wait after a failure; it doubles up to `longestWait`. */
  readonly firstWait: number;
  readonly longestWait: number;
  /** How often it is looked whether the driver's socket was made anew, as by another version. */
  readonly look: number;
}

export interface RunningHelpers {
  /** Undefined: this helper works, or waits for its Lease. Else what it waits for. */
  waitsFor(name: string): string | undefined;
  /** Resolves when all have ended after the signal. Never rejects. */
  readonly ended: Promise<void>;
}

const usual: Timing = { firstWait: 1000, longestWait: 30_000, look: 5000 };
/** What was said on objects may still be sent when all have ended. */
const flushWithinMs = 2000;
const endWithinMs = 2000;

/** Begins at once and goes on until the signal. */
export function startHelpers(set: HelperSet): RunningHelpers {
  const run = new Run(set);
  const ended = apart(
    (error) => run.surprised(error),
    () => run.run(),
  );
  return { waitsFor: (name) => run.waitsFor(name), ended };
}

class Run {
  readonly #set: HelperSet;
  readonly #timing: Timing;
  readonly #identity = `${hostname()}-${randomBytes(4).toString("hex")}`;
  /** What all of them wait for, and what one does. */
  #waiting: string | undefined = "it has just begun";
  readonly #failed = new Map<string, string>();
  #break: (error: unknown) => void = () => {};

  constructor(set: HelperSet) {
    this.#set = set;
    this.#timing = { ...usual, ...set.timing };
  }

  waitsFor(name: string): string | undefined {
    return this.#waiting ?? this.#failed.get(name);
  }

  /** What nobody caught may have left any of them half alive: all are begun again. */
  surprised(error: unknown): void {
    this.#break(error);
  }

  async run(): Promise<void> {
    const { log, signal } = this.#set;
    try {
      await this.#again("the cluster's helpers", async () => {
        const broken = new AbortController();
        const surprised = Promise.withResolvers<never>();
        this.#break = (error) => {
          broken.abort();
          // Those that can still end have a while for it.
          setTimeout(() => surprised.reject(error), endWithinMs).unref();
        };
        const api = openClient(this.#cluster(), this.#set.userAgent);
        try {
          const work = this.#withCluster(api, AbortSignal.any([signal, broken.signal])).catch((error: unknown) => {
            if (!broken.signal.aborted) throw error;
          });
          await Promise.race([work, surprised.promise]);
          if (broken.signal.aborted && !signal.aborted) await surprised.promise;
        } finally {
          api.close();
        }
      });
    } catch (error) {
      if (!signal.aborted) log.error({ error }, "the helpers ended by a mistake of ours");
    } finally {
      this.#waiting = "the helpers have ended";
    }
  }

  async #withCluster(api: ApiClient, signal: AbortSignal): Promise<void> {
    const { beside, alone } = this.#set;
    const others = alone?.helpers ?? [];
    if (beside === undefined) return this.#led(api, alone?.driverName ?? "", others, signal);
    const csi = connect(beside.csiAddress);
    try {
      // Over and over: another version of the driver may be behind the socket each time.
      while (!signal.aborted) {
        this.#waiting = "the driver is not ready yet";
        const driver = await learnDriver(csi, this.#set.log, signal);
        const changed = new AbortController();
        const term = AbortSignal.any([signal, changed.signal]);
        const watching = this.#watchDriver(csi, driver, term).then(() => changed.abort());
        const { node } = beside;
        const helpers = beside.helpers.map(({ name, run }) => ({
          name,
          run: (context: ClusterContext) => run({ ...context, csi, driver, ...(node !== undefined && { node }) }),
        }));
        try {
          await this.#led(api, driver.name, [...helpers, ...others], term);
        } finally {
          changed.abort();
          await watching;
        }
      }
    } finally {
      csi.close();
    }
  }

  /** While the Lease is held, where there is to be one. */
  async #led(api: ApiClient, driver: string, helpers: readonly ClusterHelper[], signal: AbortSignal): Promise<void> {
    const { lease, log } = this.#set;
    this.#waiting = undefined;
    if (lease === undefined) return this.#work(api, driver, helpers, signal);
    const namespace = lease.namespace ?? api.cluster.namespace ?? "default";
    const options = { namespace, name: lease.name(driver), identity: this.#identity };
    await leadWhileHeld(api, options, log, signal, (held) => this.#work(api, driver, helpers, held));
  }

  async #work(api: ApiClient, driver: string, helpers: readonly ClusterHelper[], signal: AbortSignal): Promise<void> {
    const { beside, log } = this.#set;
    const source = { component: driver, ...(beside?.node !== undefined && { host: beside.node }) };
    const events = openEvents(api, source, log);
    // What two helpers watch is asked of the API server once.
    const watched = openInformers(api, log, signal);
    await Promise.all(
      helpers.map((helper) =>
        this.#again(
          helper.name,
          async () => {
            // What a helper leaves behind when it fails ends with this.
            const own = new AbortController();
            const until = AbortSignal.any([signal, own.signal]);
            try {
              await helper.run({ api, events, log, signal: until, informers: watched.until(until) });
            } finally {
              own.abort();
            }
            if (!signal.aborted) throw new Error("it ended by itself");
          },
          signal,
        ),
      ),
    );
    await within(flushWithinMs, events.flush());
  }

  /** Ends when the driver behind the socket is another than it was. */
  async #watchDriver(csi: CsiClient, known: DriverFacts, signal: AbortSignal): Promise<void> {
    const path = socketPathOf(this.#set.beside?.csiAddress ?? "");
    // The number alone may be used again.
    const made = async () => {
      const found = await stat(path).catch(() => undefined);
      return found && `${found.ino}, ${found.ctimeMs}`;
    };
    let before = await made();
    while (await this.#sleep(this.#timing.look, signal)) {
      const now = await made();
      if (now === undefined || now === before) continue;
      before = now;
      const facts = await learnDriver(csi, this.#set.log, signal).catch(() => undefined);
      if (facts === undefined || shown(facts) === shown(known)) continue;
      this.#set.log.info({ driver: facts.name, version: facts.version }, "the driver changed: its helpers begin again");
      return;
    }
  }

  #cluster(): Cluster {
    const { cluster } = this.#set;
    return cluster === undefined || typeof cluster === "string" ? findCluster(cluster) : cluster;
  }

  /** Until the signal; what fails is told and begun again, after a wait that doubles. */
  async #again(name: string, work: () => Promise<void>, signal = this.#set.signal): Promise<void> {
    const { firstWait, longestWait } = this.#timing;
    let wait = firstWait;
    while (!signal.aborted) {
      const began = performance.now();
      try {
        await work();
        return;
      } catch (error) {
        if (signal.aborted) return;
        // What worked for a while begins as if it were the first time.
        if (performance.now() - began > 10 * longestWait) wait = firstWait;
        const why = error instanceof Error ? error.message : String(error);
        this.#failed.set(name, why);
        if (signal === this.#set.signal) this.#waiting = why;
        this.#set.log.error({ helper: name, error, againInMs: wait }, "a helper failed; it is begun again");
      }
      await this.#sleep(wait, signal);
      wait = Math.min(longestWait, wait * 2);
      this.#failed.delete(name);
    }
  }

  /** False: the signal came. */
  #sleep(ms: number, signal: AbortSignal): Promise<boolean> {
    return sleep(ms, true, { signal }).catch(() => false);
  }
}

/** As text that is equal for equal facts: a driver lists its capabilities in the same order each time. */
function shown(facts: DriverFacts): string {
  return JSON.stringify(facts, (_key, value: unknown) => (value instanceof Set ? [...value] : value));
}
