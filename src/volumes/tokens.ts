/**
 * Page tokens: which pool, and after which key. They name a place in an order, so they stay good while entries come and
 * go and across restarts; a check digit tells those that this driver issued from those it did not.
 */
import { createHash } from "node:crypto";
import type { KeyedPage, Pool } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import type { Page, Paged } from "./api.ts";

/** A page when the caller named no limit: all of it. */
const everything = Number.MAX_SAFE_INTEGER;

/** `view` gives nothing: the entry is left out, and the page is as much shorter. */
export async function paged<T, V>(
  pools: readonly Pool[],
  page: Page,
  read: (pool: Pool, after: string | undefined, max: number) => Promise<KeyedPage<T>>,
  view: (pool: Pool, entry: T) => Promise<V | undefined> | V | undefined,
): Promise<Paged<V>> {
  const max = page.max || everything;
  const start = page.token ? decode(page.token, pools) : { pool: 0, after: undefined };
  const entries: V[] = [];
  for (let n = start.pool; n < pools.length; n++) {
    const pool = pools[n];
    if (!pool) break;
    const found = await read(pool, n === start.pool ? start.after : undefined, max - entries.length);
    const views = await Promise.all(found.entries.map(async (entry) => view(pool, entry)));
    entries.push(...views.filter((each) => each !== undefined));
    if (found.next !== undefined) return { entries, next: encode(pool, found.next) };
    const following = pools[n + 1];
    if (entries.length >= max && following) return { entries, next: encode(following, "") };
  }
  return { entries, next: "" };
}

function encode(pool: Pool, after: string): string {
  return `${pool.uuid}.${after}.${checkDigit(pool.uuid, after)}`;
}

function decode(token: string, pools: readonly Pool[]): { pool: number; after: string | undefined } {
  const [uuid = "", after = "", digit] = token.split(".");
  const pool = pools.findIndex((each) => each.uuid === uuid);
  if (pool < 0 || digit !== checkDigit(uuid, after) || token.length > 128) {
    throw new Problem("TOKEN_UNKNOWN", "the starting token is none that this driver issued");
  }
  return { pool, after: after === "" ? undefined : after };
}

function checkDigit(uuid: string, after: string): string {
  return createHash("sha256").update(`token\0${uuid}\0${after}`).digest("hex").slice(0, 16);
}
