/** The driver that is measured: a process of its own, as it runs in production, its log in a file. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type CsiClient, CsiError } from "../../src/csi/client.ts";
import type { Scratch } from "../../test/support/scratch.ts";
import { connectBare } from "./bare-client.ts";

export interface Driver {
  readonly client: CsiClient;
  readonly socket: string;
  readonly pid: number;
  /** From spawn to the first Probe that answered ready. */
  readonly startMs: number;
  /** The log's lines so far, as they were written. */
  log(): readonly Readonly<Record<string, unknown>>[];
  /** SIGTERM, and waits until it is gone. May be called twice. */
  stop(): Promise<void>;
}

export interface DriverOptions {
  /** `bin/holdfast` of the checkout that is measured. */
  readonly program: string;
  /** As `--pool` takes them. */
  readonly pools: readonly string[];
  readonly logLevel?: "debug" | "info";
}

export async function startDriver(scratch: Scratch, options: DriverOptions): Promise<Driver> {
  const folder = mkdtempSync(join(scratch.path, "driver-"));
  const socket = join(folder, "csi.sock");
  const logPath = join(folder, "log");
  const args = [
    "serve",
    "--endpoint",
    `unix://${socket}`,
    "--node-id",
    "bench",
    "--init-pools",
    "--log-format",
    "json",
  ];
  args.push("--log-level", options.logLevel ?? "info", ...options.pools.flatMap((pool) => ["--pool", pool]));
  const log = openSync(logPath, "a");
  const began = performance.now();
  const child = spawn(options.program, args, { stdio: ["ignore", log, log] });
  closeSync(log);
  let client: CsiClient | undefined;
  const stop = async () => {
    client?.close();
    if (isGone(child)) return;
    const exit = once(child, "exit");
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
    await exit;
    clearTimeout(late);
  };
  scratch.later(stop);
  client = await untilReady(socket, child, logPath);
  const startMs = performance.now() - began;
  return {
    client,
    socket,
    pid: child.pid ?? 0,
    startMs,
    log: () => parseLines(readFileSync(logPath, "utf8")),
    stop,
  };
}

function isGone(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** A client of the driver, which has answered that it is ready. */
async function untilReady(socket: string, child: ChildProcess, logPath: string): Promise<CsiClient> {
  for (const until = Date.now() + 15_000; Date.now() < until; await sleep(2)) {
    if (isGone(child)) throw new Error(`the driver ended before it was ready:\n${readFileSync(logPath, "utf8")}`);
    if (!(await accepts(socket))) continue;
    const client = connectBare(socket);
    try {
      if ((await client.identity.probe({})).ready ?? true) return client;
      client.close();
    } catch (error) {
      client.close();
      if (!(error instanceof CsiError)) throw error;
    }
  }
  throw new Error(`the driver was not ready after 15 s:\n${readFileSync(logPath, "utf8")}`);
}

/** Whether somebody listens there. */
export function accepts(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(socket);
    connection.on("connect", () => resolve(true));
    connection.on("error", () => resolve(false));
    connection.on("connect", () => connection.destroy());
  });
}

function parseLines(text: string): Readonly<Record<string, unknown>>[] {
  return text.split("\n").flatMap((line) => {
    try {
      return line.startsWith("{") ? [JSON.parse(line) as Record<string, unknown>] : [];
    } catch {
      return []; // the last one, half written
    }
  });
}

/** Milliseconds of processor time that a process and its ended children have had so far (proc_pid_stat(5)). */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // utime, stime, cutime, cstime in hundredths of a second.
  return [11, 12, 13, 14].reduce((total, at) => total + Number(fields[at]) * 10, 0);
}

/** Megabytes (10^6) that the process has resident. */
export function residentMb(pid: number): number {
  const kib = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);
  return (kib * 1024) / 1e6;
}
