/** How calls are judged while something is stuck. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { CsiError } from "../../../src/csi/client.ts";
import type { Driver } from "../../support/driver.ts";

/** What callers give to what may be stuck, and how much later the driver itself must have let go of their call: milliseconds. */
export const deadlineMs = 1_500;
const laterMs = 2_000;

/** A call with that deadline; answers the error with which it ended, undefined where it got through. */
export async function impatient(
  call: (options: { timeoutMs: number }) => Promise<unknown>,
  timeoutMs = deadlineMs,
): Promise<CsiError | undefined> {
  const began = performance.now();
  try {
    await call({ timeoutMs });
    return undefined;
  } catch (error) {
    if (!(error instanceof CsiError)) throw error;
    return error;
  } finally {
    const took = performance.now() - began;
    assert.ok(took < timeoutMs + laterMs, `a call with a deadline of ${timeoutMs} ms took ${Math.round(took)} ms`);
  }
}

/** From now on: the calls that the driver's log tells of. */
export function callsOf(driver: Driver): { expectInTime(count: number): Promise<void> } {
  const from = driver.log().length;
  const ended = () =>
    driver
      .log()
      .slice(from)
      .split("\n")
      .flatMap((line) =>
        line.includes('"msg":"call"') ? [JSON.parse(line) as { rpc: string; ms: number; code: string }] : [],
      );
  return {
    /** The client gives up by itself; that the driver did too is in its log: `count` calls that ran into their deadline, each in time. */
    async expectInTime(count) {
      const late = () => ended().filter(({ code }) => code === "DEADLINE_EXCEEDED" || code === "CANCELLED");
      for (let tries = 0; late().length < count; tries += 1) {
        assert.ok(tries < 60, `of ${count} calls that ran into their deadline the driver has ended ${late().length}`);
        await sleep(50);
      }
      for (const { rpc, ms } of late())
        assert.ok(ms < deadlineMs + laterMs, `${rpc} with a deadline of ${deadlineMs} ms ended after ${ms} ms`);
    },
  };
}

/** Others may be slower while everything is stuck, but not by an order: the machine does other things too. */
const mostTimesSlower = 5;

/** Fails when the pace, in milliseconds, is much slower than `usual`, in two tries. */
export async function expectUsualPace(pace: () => Promise<number>, usual: number): Promise<void> {
  const first = await moving(pace());
  if (first < usual * mostTimesSlower) return;
  const second = await moving(pace());
  const told = `${Math.round(first)} and ${Math.round(second)} ms`;
  assert.ok(second < usual * mostTimesSlower, `others take ${told} instead of ${Math.round(usual)} ms`);
}

const standstillMs = 20_000;

async function moving(pace: Promise<number>): Promise<number> {
  const given = await Promise.race([pace, sleep(standstillMs, undefined, { ref: false })]);
  assert.ok(given !== undefined, `others stand still: ${standstillMs} ms`);
  return given;
}

/** As an orchestrator, which repeats after any error; for what was being worked on when the cause went. */
export async function again<T>(call: () => Promise<T>): Promise<T> {
  for (const until = performance.now() + 20_000; ; await sleep(50)) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof CsiError) || performance.now() > until) throw error;
    }
  }
}
