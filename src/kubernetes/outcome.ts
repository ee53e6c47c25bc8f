/** What an error of an RPC says about the work behind it. */
import { CsiError } from "../csi/client.ts";
import { ApiError } from "./api/api-error.ts";

/**
 * Whether the driver may still be at work, or may have done it, although the call failed: then only repeating the same
 * call tells (CSI specification, "Error Scheme"; the same set as the upstream provisioner's). RESOURCE_EXHAUSTED is
 * among them by gRPC's own use of it; a driver's "no room" is told apart by `isOutOfRoom`.
 */
export function mayStillRun(error: unknown): boolean {
  if (!(error instanceof CsiError)) return true;
  return ["CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED"].includes(error.code);
}

/** Neither the work nor the wish is at fault: the driver or the API server is away, and will be back. */
export const isOutage = (error: unknown): boolean =>
  error instanceof CsiError
    ? error.code === "UNAVAILABLE"
    : error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);

/** No room for the volume here; elsewhere there may be. */
export const isOutOfRoom = (error: unknown): boolean =>
  error instanceof CsiError && error.code === "RESOURCE_EXHAUSTED";

/** `code: message`, for events and conditions. */
export function explain(error: unknown): string {
  if (error instanceof CsiError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
