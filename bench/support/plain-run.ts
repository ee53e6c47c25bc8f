/** A program started as any Node program starts one: node:child_process, whose fork(2) stops the one thread meanwhile. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import type { Output, RunOptions } from "../../src/host/command.ts";

/** Of the options only `keeps` is heeded. Rejects where the program does not end with 0. */
export async function plainRun(program: string, args: readonly string[], options: RunOptions = {}): Promise<Output> {
  const began = performance.now();
  const keeps = options.keeps === undefined ? [] : [options.keeps];
  const child = spawn(program, args, { detached: true, stdio: ["ignore", "pipe", "pipe", ...keeps] });
  const closed = once(child, "close");
  const said = (stream: typeof child.stdout) => (stream ? text(stream) : Promise.resolve(""));
  const [stdout, stderr] = await Promise.all([said(child.stdout), said(child.stderr)]);
  const [code] = await closed;
  if (code !== 0) throw new Error(`${program}: exit code ${code}: ${stderr}`);
  return { stdout, stderr, ms: performance.now() - began };
}
