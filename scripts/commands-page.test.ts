import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { commandsPage, commandsText } from "./commands-page.ts";

test("docs/reference/commands.md lists the commands as they are", () => {
  assert.equal(readFileSync(commandsPage, "utf8"), commandsText(), "not current: run npm run generate");
});
