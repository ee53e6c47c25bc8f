/** Which gRPC status each kind of problem is. Besides the client, nothing else in the program knows of status codes. */
import { status } from "@grpc/grpc-js";
import type { Problem, ProblemKind } from "../pools/problem.ts";

const codes = {
  invalid: status.INVALID_ARGUMENT,
  notFound: status.NOT_FOUND,
  conflict: status.ALREADY_EXISTS,
  // Kubernetes takes ABORTED as "maybe still running" and calls again with the same arguments.
  busy: status.ABORTED,
  precondition: status.FAILED_PRECONDITION,
  unsupported: status.UNIMPLEMENTED,
  outOfRange: status.OUT_OF_RANGE,
  outOfSpace: status.RESOURCE_EXHAUSTED,
  dataLoss: status.DATA_LOSS,
  unavailable: status.UNAVAILABLE,
  cancelled: status.CANCELLED,
  timedOut: status.DEADLINE_EXCEEDED,
  denied: status.PERMISSION_DENIED,
  internal: status.INTERNAL,
} as const satisfies Record<ProblemKind, status>;

/** The status of a call that ended with this problem. */
export function codeOf(problem: Problem): status {
  return codes[problem.kind];
}

/** Each kind with the name of its status, for the reference page of the errors. */
export const codeNames: Readonly<Record<ProblemKind, string>> = Object.fromEntries(
  Object.entries(codes).map(([kind, code]) => [kind, status[code]]),
) as Record<ProblemKind, string>;
