import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const bin = join(import.meta.dirname, "../../bin/holdfast");
const script = execFileSync(bin, ["completion", "bash"], { encoding: "utf8" });

/** What bash offers after `line`, whose last word is the one that is being typed. */
function offered(line: string): string[] {
  const words = line.split(" ");
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const run = `${script}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync("bash", ["-c", run], { encoding: "utf8" }).trim().split("\n");
}

test("bash completes commands, options and the values of options", () => {
  assert.deepEqual(offered("holdfast vol"), ["volume"]);
  assert(offered("holdfast volume ").includes("unpublish"));
  assert.deepEqual(offered("holdfast volume create x --si"), ["--size"]);
  assert.deepEqual(offered("holdfast volume create --output js"), ["json"]);
  assert.deepEqual(offered("holdfast volume create --mode MULTI_NODE_R"), ["MULTI_NODE_READER_ONLY"]);
  assert(offered("holdfast serve --").includes("--init-pools"));
  assert.deepEqual(offered("holdfast serve --log-level si"), ["silent"]);
  assert.deepEqual(offered("holdfast completion z"), ["zsh"]);
  assert.deepEqual(offered("holdfast serve --config "), [""], "a file is for bash to complete");
});

test("zsh and fish have the same commands", () => {
  for (const shell of ["zsh", "fish"]) {
    const text = execFileSync(bin, ["completion", shell], { encoding: "utf8" });
    for (const word of ["volume", "snapshot", "doctor", "unstage", "secret-file"])
      assert.match(text, new RegExp(`\\b${word}\\b`));
  }
});
