import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { test } from "node:test";
import { mainThreadFirst } from "./main-thread-first.ts";

/** The field `policy` of proc_pid_stat(5), the 41st; what is in brackets may hold spaces. */
function policyOf(thread: string): number {
  const fields = readFileSync(`/proc/self/task/${thread}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return Number(fields[38]);
}

test("all threads but the main one give way, also those of the pool", async () => {
  await stat("/");
  mainThreadFirst();
  const threads = readdirSync("/proc/self/task").filter((thread) => thread !== String(process.pid));
  const names = threads.map((thread) => readFileSync(`/proc/self/task/${thread}/comm`, "utf8").trim());
  assert.ok(names.includes("libuv-worker"), names.join(", "));
  assert.deepEqual(new Set(threads.map(policyOf)), new Set([3]));
  assert.equal(policyOf(String(process.pid)), 0);
});
