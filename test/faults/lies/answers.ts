import assert from "node:assert/strict";
import { CsiError } from "../../../src/csi/client.ts";
import { within } from "../frame/within.ts";

/** What a call may take in a world that is broken on purpose: milliseconds. */
const callMs = 15_000;

export type Answer<T> = { readonly done: true; readonly value: T } | { readonly done: false; readonly error: CsiError };

/**
 * An answer in time, or an error in the domain's own words. Fails when there is none, when the driver is surprised
 * (INTERNAL), or when the connection ends.
 */
export async function answered<T>(what: string, call: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { done: true, value: await within(callMs, call(), what) };
  } catch (error) {
    if (!(error instanceof CsiError)) throw error;
    const told = `${what}: ${error.code}: ${error.message}`;
    assert.match(error.message, /\[[A-Z_]+\]$/, `no error of the driver's catalogue: ${told}`);
    assert.doesNotMatch(error.message, /\[INTERNAL\]$/, `the driver is surprised: ${told}`);
    return { done: false, error };
  }
}
