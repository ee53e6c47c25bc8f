/** The real driver, as a process of its own. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type CsiClient, CsiError, connect } from "../../csi/client.ts";
import type { Scratch } from "./scratch.ts";
import { CheckFailed } from "./story.ts";

const program = join(import.meta.dirname, "../../../bin/holdfast");

export class DriverProcess {
  readonly pid: number;
  readonly client: CsiClient;
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;

  private constructor(child: ChildProcess, socket: string) {
    if (child.pid === undefined) throw new CheckFailed(`${program} could not be started`);
    this.pid = child.pid;
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    this.client = connect(`unix://${socket}`);
  }

  static args(scratch: Scratch): string[] {
    const pool = `scratch=image:${scratch.pool}`;
    const flags = ["--endpoint", `unix://${scratch.socket}`, "--node-id", "quickstart"];
    return ["serve", ...flags, "--pool", pool, "--log-format", "json"];
  }

  /** Makes the scratch folder a pool, as a person would. */
  static initPool(scratch: Scratch): { readonly text: string } {
    execFileSync(program, ["pool", "init", scratch.pool, "--node-id", "quickstart"], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    return { text: scratch.pool };
  }

  /** Starts it and waits until Probe answers ready. Its log goes to a file. */
  static async start(scratch: Scratch): Promise<DriverProcess> {
    const log = openSync(scratch.log, "a", 0o600);
    // Detached, so that Ctrl-C reaches this process only, which then cleans up in order, and that --keep can leave it.
    const child = spawn(program, DriverProcess.args(scratch), { detached: true, stdio: ["ignore", log, log] });
    closeSync(log);
    child.unref();
    const driver = new DriverProcess(child, scratch.socket);
    writeFileSync(scratch.pidFile, String(driver.pid));
    await driver.#untilReady(scratch);
    return driver;
  }

  /** Ends it with a signal and waits. Answers how it ended. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<string> {
    // Nothing else may keep this process waiting for it.
    this.#child.ref();
    this.#child.kill(signal);
    const ended = await this.#ended;
    this.client.close();
    return ended;
  }

  async #untilReady(scratch: Scratch): Promise<void> {
    const began = performance.now();
    let ended: string | undefined;
    void this.#ended.then((how) => {
      ended = how;
    });
    for (;;) {
      if (ended !== undefined)
        throw new CheckFailed(`the driver ended: ${ended}; its log says:\n${lastLines(scratch.log)}`);
      if (performance.now() - began > 20_000)
        throw new CheckFailed(`the driver is not ready after 20 s; its log says:\n${lastLines(scratch.log)}`);
      try {
        if ((await this.client.identity.probe({}, { timeoutMs: 2000 })).ready !== false) return;
      } catch (error) {
        if (!(error instanceof CsiError && error.code === "UNAVAILABLE")) throw error;
      }
      await sleep(5);
    }
  }
}

/** The milliseconds from process start to ready, as the driver's last "ready" line has them. */
export function readyAfter(scratch: Scratch): number | undefined {
  const lines = readFileSync(scratch.log, "utf8").trim().split("\n").reverse();
  for (const line of lines) {
    try {
      const entry: unknown = JSON.parse(line);
      if (typeof entry !== "object" || entry === null || !("msg" in entry) || entry.msg !== "ready") continue;
      return "ms" in entry && typeof entry.ms === "number" ? entry.ms : undefined;
    } catch {
      // A line that is not JSON is not the one.
    }
  }
  return undefined;
}

export function lastLines(file: string, count = 8): string {
  return readFileSync(file, "utf8").trim().split("\n").slice(-count).join("\n");
}
