/**
 * The last check of a test run: check-leftovers.ts FOLDER
 * Names what the run left in FOLDER, or on the machine and of FOLDER, and ends with exit code 1 if there is anything.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { leftoversOf } from "./leftovers.ts";

const [folder = ""] = process.argv.slice(2);
const look = () => [
  ...leftoversOf(folder),
  ...readdirSync(folder).map((name) => `file left behind: ${join(folder, name)}`),
];
// What the kernel is letting go of is gone in a moment.
for (let tries = 0; tries < 50 && look().length > 0; tries += 1) await sleep(100);
const left = look();
for (const line of left) console.error(line);
if (left.length === 0) console.log("nothing is left: no process, mount, loop device or file");
process.exitCode = left.length > 0 ? 1 : 0;
