/** What the API server answered instead of an object, or why no answer came. */
export class ApiError extends Error {
  /** The HTTP status; 0 when no answer came. */
  readonly status: number;
  /** The API's word for it, as `AlreadyExists`; empty when it gave none. */
  readonly reason: string;
  /** When it wants to be asked again, in milliseconds; absent: it did not say. */
  readonly retryAfterMs?: number;

  constructor(status: number, reason: string, message: string, retryAfterMs?: number, options?: ErrorOptions) {
    super(message, options);
    this.name = "ApiError";
    this.status = status;
    this.reason = reason;
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs;
  }
}

const has = (error: unknown, status: number, reason?: string): boolean =>
  error instanceof ApiError && error.status === status && (reason === undefined || error.reason === reason);

export const isNotFound = (error: unknown): boolean => has(error, 404);
/** Somebody else wrote the object meanwhile, or it is not the one that the request named: read it again. */
export const isConflict = (error: unknown): boolean => has(error, 409, "Conflict");
export const isAlreadyExists = (error: unknown): boolean => has(error, 409, "AlreadyExists");
/** The watch or the page is older than what the API server remembers: list again. */
export const isExpired = (error: unknown): boolean => has(error, 410);
export const isForbidden = (error: unknown): boolean => has(error, 403);
