/** Which size a request gets. All figures in bytes. */
import { Problem } from "../pools/problem.ts";
import type { CapacityRange } from "./api.ts";

/** A volume whose size nobody gave. */
export const defaultSize = 1024 * 1024 * 1024;
/** Volumes are whole blocks of this size, which is what direct I/O needs at most. */
const block = 4096;

/**
 * The size for a new or grown volume: what is required, at least `minimum`, in whole blocks; without a wish `fallback`,
 * cut to the limit. Throws SIZE_OUT_OF_RANGE where limit and minimum exclude each other.
 */
export function chooseSize(range: CapacityRange, minimum: number, fallback: number): number {
  const { required, limit } = checkRange(range);
  let size = required ?? fallback;
  if (required === undefined && limit !== undefined) size = Math.min(size, limit - (limit % block));
  size = Math.ceil(Math.max(size, minimum) / block) * block;
  if (!Number.isSafeInteger(size))
    throw new Problem("SIZE_OUT_OF_RANGE", `${size} bytes are more than any pool can have`);
  if (limit !== undefined && size > limit) {
    throw new Problem(
      "SIZE_OUT_OF_RANGE",
      `the limit of ${limit} bytes is below the ${size} bytes that are needed at least`,
    );
  }
  return size;
}

/** Whether a volume of this size answers the range. */
export function fits(size: number, range: CapacityRange): boolean {
  const { required, limit } = checkRange(range);
  return size >= (required ?? 0) && size <= (limit ?? Number.POSITIVE_INFINITY);
}

function checkRange(range: CapacityRange): { required: number | undefined; limit: number | undefined } {
  const required = range.required || undefined;
  const limit = range.limit || undefined;
  for (const bytes of [required, limit]) {
    if (bytes !== undefined && (bytes < 0 || !Number.isSafeInteger(bytes))) {
      throw new Problem("SIZE_OUT_OF_RANGE", `${bytes} bytes are not a size that a volume can have`);
    }
  }
  if (required !== undefined && limit !== undefined && limit < required) {
    throw new Problem("SIZE_OUT_OF_RANGE", `the limit of ${limit} bytes is below the required ${required}`);
  }
  return { required, limit };
}
