import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { problems } from "../src/pools/problem.ts";
import { errorsPage, pageFile } from "./errors-page.ts";

test("the page lists every error with its status, as the code has it", () => {
  assert.equal(readFileSync(pageFile, "utf8"), errorsPage(), "not current: run npm run generate");
  for (const name of Object.keys(problems))
    assert.match(errorsPage(), new RegExp(`^\\| \`${name}\` \\| [A-Z_]+ \\|`, "m"));
});
