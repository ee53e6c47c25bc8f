import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { anchors, links, pages, root } from "./pages.ts";

/** Comes with the figures that it explains. */
const coming = "docs/reference/performance.md";

test("every link of the documents goes somewhere: to a file that is there, and a heading that it has", () => {
  const all = pages();
  const broken: string[] = [];
  for (const [name, page] of all) {
    for (const link of links(page)) {
      if (/^https?:/.test(link)) continue;
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? name : normalize(join(dirname(name), path));
      if (target === coming) continue;
      const there = existsSync(join(root, target)) && !target.startsWith("..");
      const to = all.get(target);
      if (!there || (anchor !== undefined && !(to && anchors(to).has(anchor)))) broken.push(`${name}: ${link}`);
    }
  }
  assert.deepEqual(broken, []);
});

test("every page can be found from the README", () => {
  const all = pages();
  const found = new Set(["README.md"]);
  for (const name of found) {
    for (const link of links(all.get(name) ?? "")) {
      const target = normalize(join(dirname(name), link.split("#")[0] ?? ""));
      if (all.has(target)) found.add(target);
    }
  }
  assert.deepEqual([...found].sort(), [...all.keys()]);
});
