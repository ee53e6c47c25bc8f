import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

const module = (name: string) => JSON.stringify(join(import.meta.dirname, name));

/** Runs `script` in a process with the handlers that the driver has; answers its exit code and what it printed. */
async function ran(script: string): Promise<{ readonly code: number; readonly out: string }> {
  const text = `
    const { apart } = await import(${module("apart.ts")});
    const { createLog } = await import(${module("log.ts")});
    const { endOnSurprise } = await import(${module("../commands/stop-on-signal.ts")});
    endOnSurprise(createLog({ level: "silent", format: "json" }));
    const beside = (work) => apart((error) => console.log("told", error.message), work);
    ${script}
    setTimeout(() => { console.log("goes on"); process.exit(0); }, 100);`;
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", text]);
    return { code: 0, out: stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, out: stdout };
  }
}

test("what work apart throws uncaught is told, and the process goes on", async () => {
  const { code, out } = await ran(`
    beside(() => {
      setTimeout(() => { throw new Error("timer"); }, 10);
      void (async () => { await new Promise((resolve) => setTimeout(resolve, 20)); throw new Error("promise"); })();
    });`);
  assert.deepEqual([code, out.trim().split("\n")], [0, ["told timer", "told promise", "goes on"]]);
});

test("what the main work throws uncaught ends the process, also beside work apart", async () => {
  const { code, out } = await ran(`
    beside(() => setTimeout(() => {}, 50));
    setTimeout(() => { throw new Error("main"); }, 10);`);
  assert.deepEqual([code, out], [1, ""]);
});
