/** The real driver as a process of its own, as an orchestrator meets it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type CsiClient, CsiError, connect } from "../../src/csi/client.ts";
import { letGoOfOthers } from "./namespace.ts";
import { attempt, type Outcome } from "./run.ts";
import type { Scratch } from "./scratch.ts";

/** Another build of it may be tested by the same tests: HOLDFAST_PROGRAM. */
export const holdfast = process.env["HOLDFAST_PROGRAM"] ?? join(import.meta.dirname, "../../bin/holdfast");

export interface DriverOptions {
  /** As `p=image:/path,shared=true`. */
  readonly pools: readonly string[];
  /** Absent: "n1". */
  readonly nodeId?: string;
  /** More arguments of `serve`. */
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** In a mount namespace of its own, as on another machine: what it mounts is seen through `/proc/PID/root` only. */
  readonly apart?: boolean;
  /** Only apart: the folders whose mounts it sees; absent: those of the scratch folder, also another node's in it. */
  readonly sees?: readonly string[];
  /** Only apart: programs that stand in for others, by the others' paths. */
  readonly standIns?: Readonly<Record<string, string>>;
  /** Absent: pools are made where there are none, at each start; or at the first only, as by `holdfast pool init`. */
  readonly initPools?: boolean | "first";
  /** It counts as started when it answers at all, ready or not. */
  readonly mayBeUnready?: boolean;
  /** A name that is whole in the scratch folder; absent: a new one. The same name again is the same node. */
  readonly folder?: string;
}

export interface Driver {
  readonly socket: string;
  readonly client: CsiClient;
  readonly pid: number;
  /** Not dead, as far as this process has heard. */
  readonly running: boolean;
  /** Milliseconds from spawn to the first Probe that answered ready. */
  readonly startedInMs: number;
  /** All that it wrote so far, over restarts. */
  log(): string;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** SIGTERM (or another); answers its exit code (128 for a signal). Fails when it takes longer than 15 s. */
  stop(signal?: NodeJS.Signals): Promise<number>;
  /**
   * Starts it again with the same arguments (and more), `under` a command that stands before it and becomes it. Only after
   * `kill` or `stop`. `mayBeUnready`: as the option.
   */
  start(more?: readonly string[], under?: readonly string[], mayBeUnready?: boolean): Promise<void>;
  /** kill and start. */
  crash(): Promise<void>;
}

/** Runs `serve` where it must refuse to start; killed after 15 s if it does not. */
export function serveOnce(socket: string, pools: readonly string[]): Promise<Outcome> {
  const args = ["serve", "--endpoint", `unix://${socket}`, "--node-id", "n1"];
  return attempt(holdfast, [...args, ...pools.flatMap((pool) => ["--pool", pool])], { timeoutMs: 15_000 });
}

/** Starts `bin/holdfast serve` and waits until it is ready. It ends with the scratch folder, by SIGTERM. */
export async function startDriver(scratch: Scratch, options: DriverOptions): Promise<Driver> {
  const folder = options.folder ?? mkdtempSync(join(scratch.path, "n-"));
  const socket = join(folder, "csi.sock");
  const base = ["serve", "--endpoint", `unix://${socket}`, "--node-id", options.nodeId ?? "n1"];
  base.push("--log-format", "json");
  for (const pool of options.pools) base.push("--pool", pool);
  if (options.initPools === undefined || options.initPools === true) base.push("--init-pools");
  base.push(...(options.args ?? []));

  let child: ChildProcess | undefined;
  let log = "";
  let startedInMs = 0;
  // One that starts is reached in its first moments.
  const client = connect(`unix://${socket}`, { reconnectMs: 2 });
  const gone = (): boolean => child === undefined || child.exitCode !== null || child.signalCode !== null;
  const wait = async (signal: NodeJS.Signals, withinMs: number): Promise<number> => {
    if (child === undefined || gone()) return child?.exitCode ?? 128;
    const exit = once(child, "exit");
    child.kill(signal);
    const first = await Promise.race([exit, sleep(withinMs, undefined, { ref: false })]);
    if (first === undefined) {
      child.kill("SIGKILL");
      await exit;
      throw new Error(`the driver did not end within ${withinMs} ms after ${signal}; its log:\n${tail(log)}`);
    }
    return child.exitCode ?? 128;
  };
  const driver: Driver = {
    socket,
    client,
    get pid() {
      return child?.pid ?? 0;
    },
    get running() {
      return !gone();
    },
    get startedInMs() {
      return startedInMs;
    },
    log: () => log,
    kill: async () => {
      await wait("SIGKILL", 10_000);
    },
    stop: (signal = "SIGTERM") => wait(signal, 15_000),
    start: async (more = [], under = [], mayBeUnready = options.mayBeUnready ?? false) => {
      if (!gone()) throw new Error("the driver still runs");
      const begun = performance.now();
      const binds = Object.entries(options.standIns ?? {}).map(([path, by]) => `mount --bind ${by} ${path} && `);
      const apart = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        `${letGoOfOthers(options.sees ?? [scratch.path])}; ${binds.join("")}exec "$@"`,
        "sh",
      ];
      const [program = "", ...words] = [...(options.apart ? apart : []), ...under, holdfast, ...base, ...more];
      child = spawn(program, words, {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, ...options.env },
      });
      for (const stream of [child.stdout, child.stderr]) {
        stream?.setEncoding("utf8").on("data", (text: string) => {
          log += text;
        });
      }
      await untilReady({ client, socket }, gone, () => log, mayBeUnready);
      startedInMs = performance.now() - begun;
    },
    crash: async () => {
      await driver.kill();
      await driver.start();
    },
  };
  scratch.later(async () => {
    client.close();
    await driver.stop();
  });
  await driver.start(options.initPools === "first" ? ["--init-pools"] : []);
  return driver;
}

async function untilReady(
  { client, socket }: Pick<Driver, "client" | "socket">,
  gone: () => boolean,
  log: () => string,
  mayBeUnready: boolean,
): Promise<void> {
  const end = Date.now() + 15_000;
  let last = "no answer";
  while (Date.now() < end) {
    if (gone()) throw new Error(`the driver ended before it was ready; its log:\n${tail(log())}`);
    try {
      const answer = await client.identity.probe({}, { timeoutMs: 2_000 });
      if ((answer.ready ?? true) || mayBeUnready) return;
      last = "not ready";
    } catch (error) {
      if (!(error instanceof CsiError)) throw error;
      last = error.message;
    }
    await sleep(10);
  }
  const place = existsSync(socket) ? "there" : "missing";
  throw new Error(`the driver is not ready after 15 s (${last}; its socket is ${place}); its log:\n${tail(log())}`);
}

function tail(log: string): string {
  return log.trimEnd().split("\n").slice(-30).join("\n");
}
