/** Runs a program for a test; not the driver's own wrapper, so that a fault there cannot hide itself. */
import { spawn } from "node:child_process";

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs it to its end, whatever that is; `input` goes to its standard input. A signal counts as code 128. */
export function attempt(
  program: string,
  args: readonly string[],
  options: { readonly input?: string; readonly env?: NodeJS.ProcessEnv; readonly timeoutMs?: number } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin`, LC_ALL: "C", ...options.env },
      ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs, killSignal: "SIGKILL" as const }),
    });
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.stdin?.on("error", () => {}); // it need not read what it was given
    child.stdin?.end(options.input);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 128, stdout, stderr }));
  });
}

/** Its standard output; an exit code other than 0 is an error with all that it said. */
export async function run(
  program: string,
  args: readonly string[],
  options: Parameters<typeof attempt>[2] = {},
): Promise<string> {
  const outcome = await attempt(program, args, options);
  if (outcome.code !== 0) {
    const said = [outcome.stderr, outcome.stdout].filter((text) => text.trim() !== "").join("\n");
    throw new Error(`${program} ${args.join(" ")}: exit code ${outcome.code}\n${said}`);
  }
  return outcome.stdout;
}
