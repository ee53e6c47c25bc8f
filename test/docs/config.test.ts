import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { scratchFor } from "../support/scratch.ts";
import { codeBlocks, pages } from "./pages.ts";

/** Values of the Helm chart, which test/deploy renders. */
const chartValues = "# values of the chart";

test("every configuration that the documents show is one", async (t) => {
  const scratch = scratchFor(t);
  const shown = [...pages()].flatMap(([name, page]) =>
    codeBlocks(page, "yaml").flatMap((text) =>
      /^pools:/m.test(text) && !text.startsWith(chartValues) ? [{ name, text }] : [],
    ),
  );
  assert.ok(shown.length >= 3, `only ${shown.length} were found`);
  for (const [n, { name, text }] of shown.entries()) {
    const config = join(scratch.path, `${n}.yaml`);
    writeFileSync(config, text);
    await assert.doesNotReject(loadConfig({ config }, {}), name);
  }
});
