/** What the driver may answer when a system call failed: an error of the catalogue that fits, and that names what failed. */
import assert from "node:assert/strict";
import { CsiError } from "../../../src/csi/client.ts";
import { codeNames } from "../../../src/csi/status.ts";
import { type ProblemName, problems } from "../../../src/pools/problem.ts";

/** By the number of the error: what an operator is to be told. None: nobody should notice. */
const fitting: Readonly<Record<string, readonly ProblemName[]>> = {
  EIO: ["POOL_UNAVAILABLE"],
  ENOSPC: ["POOL_FULL", "GROWTH_TOO_LARGE"],
  EMFILE: ["HOST_EXHAUSTED"],
  ENOMEM: ["HOST_EXHAUSTED"],
  EAGAIN: ["HOST_EXHAUSTED"],
  ENOLCK: ["HOST_EXHAUSTED"],
  EBUSY: ["VOLUME_IN_USE"],
};

/** A program that failed tells it in its own words; a check that fails says no more than that the check failed. */
const ofTools: readonly ProblemName[] = ["COMMAND_FAILED", "FILESYSTEM_DAMAGED"];

/** Fails unless `failure` is such an answer. `error` absent: a call that moved only a part. */
export function expectClear(failure: unknown, error: string | undefined, inTool: boolean): void {
  assert.ok(failure instanceof CsiError, `not an answer of the driver: ${String(failure)}`);
  const { code, message } = failure;
  const name = /\[([A-Z_]+)\]$/.exec(message)?.[1];
  assert.ok(name !== undefined && Object.hasOwn(problems, name), `no error of the catalogue: ${code}: ${message}`);
  const problem = name as ProblemName;
  assert.equal(code, codeNames[problems[problem].kind], `the code of ${problem} is another: ${message}`);
  const allowed = inTool ? [...ofTools, ...(fitting[error ?? ""] ?? [])] : (fitting[error ?? ""] ?? []);
  assert.ok(allowed.includes(problem), `${error ?? "a part"} is answered as ${code}: ${message}`);
  // A path, or the name of a volume: which of all.
  assert.match(message, /\/[\w.-]+\/|'[^']+'|\bmkfs|\bfsck/, `the answer does not name what failed: ${message}`);
}
