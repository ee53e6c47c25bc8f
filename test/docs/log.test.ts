import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { codeSpans, pages, root } from "./pages.ts";

test("the reference pages of the log have every text that the driver logs", () => {
  const told = ["docs/reference/log.md", "docs/reference/kubernetes-log.md"];
  const described = new Set(told.flatMap((page) => [...codeSpans(pages().get(page) ?? "")]));
  const src = join(root, "src");
  const files = readdirSync(src, { recursive: true, encoding: "utf8" });
  const texts = files
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    .flatMap((name) => [
      ...readFileSync(join(src, name), "utf8").matchAll(/[lL]og\.(?:debug|info|warn|error)\(([^;]*?)\);?$/gms),
    ])
    .flatMap(([, args = ""]) => /,\s*"([^"]+)",?\s*$/.exec(args)?.[1] ?? []);
  assert.ok(texts.length > 10, `only ${texts.length} texts were found`);
  assert.deepEqual(
    [...new Set(texts)].filter((text) => !described.has(text)),
    [],
  );
});
