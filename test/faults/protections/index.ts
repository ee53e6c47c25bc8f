/** The suite tried on itself: with each protection of the driver switched off in turn, the part that it needs must fail. */
import assert from "node:assert/strict";
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attempt } from "../../support/run.ts";
import type { Part } from "../frame/part.ts";
import { type Protection, protections } from "./table.ts";

const root = join(import.meta.dirname, "../../..");

export const protectionsOff: readonly Part[] = protections.map((protection, index) => ({
  fault: "protection-off",
  pool: "any",
  operation: protection.name,
  sample: index === 0,
  seconds: 15,
  async run(tries) {
    await tries.try("off", async () => {
      const scratch = tries.scratch();
      try {
        const program = without(protection, scratch.path);
        const outcome = await attempt(
          join(root, "bin/holdfast-node"),
          [join(import.meta.dirname, "../frame/main.ts"), ...protection.caughtBy, "--jobs", "1"],
          { env: { HOLDFAST_PROGRAM: program, TMPDIR: scratch.path } },
        );
        assert.equal(outcome.code, 1, `nothing failed without it:\n${outcome.stdout}\n${outcome.stderr}`);
        assert.match(outcome.stdout, protection.words, "it failed, but not for that reason");
      } finally {
        await scratch.end();
      }
    });
  },
}));

/** A copy of the driver that lacks it. Answers the program. */
function without({ file, on, off, name }: Protection, folder: string): string {
  const copy = join(folder, "driver");
  for (const part of ["bin", "src", "package.json"]) cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  const path = join(copy, file);
  const [before, after, ...more] = readFileSync(path, "utf8").split(on);
  assert.ok(
    before !== undefined && after !== undefined && more.length === 0,
    `${name}: ${file} has changed; mend the table`,
  );
  writeFileSync(path, `${before}${off}${after}`);
  return join(copy, "bin/holdfast");
}
