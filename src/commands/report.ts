/** Tells an error that ended a command. */
import { ConfigError } from "../config/config-error.ts";
import { CsiError } from "../csi/client.ts";
import { EndpointError } from "../csi/endpoint.ts";
import { Problem } from "../pools/problem.ts";
import { PoolConfigError } from "../pools/slots.ts";
import { advised } from "./advice.ts";

/** Prints the error to stderr, in JSON when the command line asked for it, and answers the exit code. */
export function report(error: unknown, args: readonly string[] = process.argv): number {
  const json = args.some((arg, index) => arg === "--output=json" || (arg === "json" && args[index - 1] === "--output"));
  const view = viewOf(error);
  if (json) process.stderr.write(`${JSON.stringify({ error: view })}\n`);
  else {
    const who = [view.rpc, view.code].filter((part) => part !== undefined).join(": ");
    const text = view.code === undefined ? view.message : advised(view.code, view.message);
    process.stderr.write(`holdfast: ${who === "" ? "" : `${who}: `}${text}\n`);
    if (view.stack !== undefined) process.stderr.write(`${view.stack}\n`);
  }
  return view.exit;
}

interface ErrorView {
  readonly exit: number;
  readonly message: string;
  /** The gRPC code, or the problem's name. */
  readonly code?: string;
  readonly rpc?: string;
  /** Only of errors that nobody expected. */
  readonly stack?: string;
}

function viewOf(error: unknown): ErrorView {
  if (error instanceof CsiError) return { exit: 1, message: error.message, code: error.code, rpc: error.rpc };
  if (
    error instanceof ConfigError ||
    error instanceof EndpointError ||
    error instanceof PoolConfigError ||
    isClusterError(error)
  ) {
    return { exit: 2, message: error.message };
  }
  if (error instanceof Problem) return { exit: 1, message: error.message };
  if (!(error instanceof Error)) return { exit: 1, message: String(error) };
  // What the system refused says enough by itself; the rest is a mistake of ours, and its place helps to mend it.
  if ("syscall" in error) return { exit: 1, message: error.message };
  return {
    exit: 1,
    message: `unexpected: ${error.message}`,
    ...(error.stack === undefined ? {} : { stack: error.stack }),
  };
}

/** By its name: most commands have no use for the code of the cluster's client. */
function isClusterError(error: unknown): error is Error {
  return error instanceof Error && error.name === "ClusterError";
}
