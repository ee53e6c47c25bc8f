/**
 * The last check of a test run:
 *   check-leftovers.ts before|after FOLDER FILE
 * `before` notes in FILE the loop devices that are there; `after` names what the run left in FOLDER or on the machine and
 * ends with exit code 1.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { leftoversOf, loopDevices, orphanedLoopDevices } from "./leftovers.ts";

const [when = "", folder = "", file = ""] = process.argv.slice(2);
if (when === "before") {
  writeFileSync(
    file,
    loopDevices()
      .map((loop) => `${loop.device} ${loop.file}\n`)
      .join(""),
  );
} else {
  const before = readFileSync(file, "utf8").split("\n");
  const look = () => [
    ...leftoversOf(folder),
    ...orphanedLoopDevices(before),
    ...readdirSync(folder).map((name) => `file left behind: ${join(folder, name)}`),
  ];
  // What is being let go by the kernel, or belongs to somebody else's running tests, is gone in a moment.
  for (let tries = 0; tries < 50 && look().length > 0; tries += 1) await sleep(100);
  const left = look();
  for (const line of left) console.error(line);
  if (left.length === 0) console.log("nothing is left: no process, mount, loop device or file");
  process.exitCode = left.length > 0 ? 1 : 0;
}
