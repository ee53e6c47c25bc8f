import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

// What the first process of a container does: tools of ours, tools of node:child_process, and orphans of both.
const script = `
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { run } from "${join(import.meta.dirname, "command.ts")}";

const zombies = () =>
  readdirSync("/proc").filter((each) => {
    try {
      return /^\\d+$/.test(each) && /^State:\\tZ/m.test(readFileSync("/proc/" + each + "/status", "utf8"));
    } catch {
      return false; // gone meanwhile
    }
  }).length;

await run("sh", ["-c", "(sleep 0.1 & sleep 0.2 &) >/dev/null 2>&1; exit 0"]);
const codes = Array.from({ length: 30 }, async (_, n) => {
  await delay(n * 60);
  const failed = await promisify(execFile)("sh", ["-c", "exit " + (n + 1)]).catch((error) => error);
  const ours = await run("sh", ["-c", "exit " + (n + 1)]).catch((error) => error);
  return failed.code === n + 1 && ours.exitCode === n + 1;
});
const all = (await Promise.all(codes)).every((each) => each);
const most = zombies();
for (let waited = 0; zombies() > 0 && waited < 8000; waited += 50) await delay(50);
console.log(JSON.stringify({ pid: process.pid, all, left: zombies(), most }));
`;

test("the first process of a container leaves no zombies, and every program's end is told to who started it", () => {
  const node = [process.execPath, "--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", script];
  const { stdout, stderr } = spawnSync(
    "unshare",
    ["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", ...node],
    { encoding: "utf8", timeout: 30_000 },
  );
  assert.match(stdout, /^\{/, stderr);
  const { most, ...said } = JSON.parse(stdout) as { most: number };
  assert.deepEqual(said, { pid: 1, all: true, left: 0 });
  assert.ok(most <= 2);
});
