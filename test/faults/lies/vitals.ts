/** What may not grow, whatever is sent: descriptors, threads, memory. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Driver } from "../../support/driver.ts";

/** MiB that the driver may have had at most; its heap is limited to 96. */
const mostMemory = 320;

export interface Vitals {
  readonly descriptors: number;
  readonly threads: number;
}

export function vitalsOf({ pid }: Driver): Vitals {
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: readdirSync(`/proc/${pid}/task`).length,
  };
}

/** Fails unless it answers in time, its memory never passed the limit, and descriptors and threads come back to what they were. */
export async function expectWell(driver: Driver, before: Vitals): Promise<void> {
  assert.ok(driver.running, "the driver is dead");
  await driver.client.identity.probe({}, { timeoutMs: 10_000 });
  const peak = Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${driver.pid}/status`, "utf8"))?.[1]) / 1024;
  assert.ok(peak < mostMemory, `the driver has had ${Math.round(peak)} MiB`);
  for (let tries = 0; ; tries += 1) {
    const now = vitalsOf(driver);
    // What rests for a moment (directories, warm locks) comes and goes; the client's own connection is one more.
    if (now.descriptors <= before.descriptors + 8 && now.threads <= before.threads + 2) return;
    assert.ok(tries < 100, `from ${JSON.stringify(before)} to ${JSON.stringify(now)}`);
    await sleep(50);
  }
}
