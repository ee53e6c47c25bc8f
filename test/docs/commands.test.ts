import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "commander";
import { program } from "../../src/commands/program.ts";
import { codeBlocks, codeSpans, pages } from "./pages.ts";

/** Every `holdfast ...` in a shell block, with continued lines joined, and in the prose. */
function commandLines(page: string): string[] {
  const shell = codeBlocks(page, "sh").join("\n").replaceAll("\\\n", " ");
  const inShell = [...shell.matchAll(/(?:^\s*(?:npx |bin\/)?|\$\(|\buntil )holdfast +([^|;&)\n#]*)/gm)].map(
    ([, args = ""]) => args,
  );
  const inProse = codeSpans(page).flatMap((text) => /^(?:npx )?(?:bin\/)?holdfast (.+)$/.exec(text)?.[1] ?? []);
  return [...inShell, ...inProse];
}

/** Undefined: the command and its options exist. Else what does not. */
function unknown(line: string): string | undefined {
  let command: Command = program();
  const words = line.split(/\s+/).filter((word) => word !== "" && word !== "...");
  for (
    let next = words[0];
    next !== undefined && command.commands.length > 0 && !next.startsWith("-");
    next = words[0]
  ) {
    const sub = command.commands.find((each) => each.name() === next);
    if (!sub) return `${next} is no command of ${command.name()}`;
    command = sub;
    words.shift();
  }
  const known = new Set(["--help", "--version", ...command.options.map((option) => option.long)]);
  const wrong = words.find(
    (word) => /^\[?--[a-z]/.test(word) && !known.has(word.replace(/^\[/, "").split(/[=\]]/)[0] ?? ""),
  );
  return wrong && `${wrong} is no option of ${command.name()}`;
}

test("every holdfast command that the documents show exists, with its options", () => {
  const lines = [...pages()].flatMap(([name, page]) => commandLines(page).map((line) => ({ name, line })));
  assert.ok(lines.length > 60, `only ${lines.length} commands were found`);
  const wrong = lines.flatMap(
    ({ name, line }) => unknown(line)?.replace(/^/, `${name}: holdfast ${line.trim()}: `) ?? [],
  );
  assert.deepEqual(wrong, []);
});

test("a command that does not exist would be found", () => {
  assert.deepEqual(commandLines("```sh\nID=$(holdfast volume make x)\n```\nsay `holdfast serve --fast`"), [
    "volume make x",
    "serve --fast",
  ]);
  assert.match(unknown("volume make x") ?? "", /make is no command of volume/);
  assert.match(unknown("serve --fast") ?? "", /--fast is no option of serve/);
  assert.equal(unknown("volume create x --size 1Gi"), undefined);
});
