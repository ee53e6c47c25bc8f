import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { problems } from "../src/pools/problem.ts";
import { errorsPage, pageFile } from "./errors-page.ts";

test("the page lists every error with its status, as the code has it", () => {
  assert.equal(readFileSync(pageFile, "utf8"), errorsPage(), "not current: run npm run generate");
  for (const name of Object.keys(problems))
    assert.match(errorsPage(), new RegExp(`^\\| \`${name}\` \\| [A-Z_]+ \\|`, "m"));
});

test("every error of the catalogue is one that the code can answer", () => {
  const src = join(import.meta.dirname, "../src");
  const code = readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts") && file !== "pools/problem.ts")
    .map((file) => readFileSync(join(src, file), "utf8"))
    .join("\n");
  const unused = Object.keys(problems).filter((name) => !code.includes(`"${name}"`));
  assert.deepEqual(unused, [], "these are never answered");
});
