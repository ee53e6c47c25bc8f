import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { loadConfig } from "./load.ts";
import { configSchema, kubernetesSchema, poolSchema } from "./schema.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/reference/configuration.md"), "utf8");

const byText = (a = "", b = "") => (a < b ? -1 : 1);

test("docs/reference/configuration.md has a row for each key, and none that does not exist", () => {
  const rows = [...page.matchAll(/^\| `([A-Za-z]+)` \|/gm)].map((match) => match[1]);
  const schemas = [configSchema, poolSchema, kubernetesSchema];
  const keys = schemas.flatMap((schema) => Object.keys(schema.entries));
  assert.deepEqual(rows.toSorted(byText), keys.toSorted(byText));
});

test("its example is taken, and means the same as its command line", async () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-docs-"));
  try {
    const file = join(folder, "example.yaml");
    writeFileSync(file, /```yaml\n(.*?)```/s.exec(page)?.[1] ?? "");
    const fromFile = await loadConfig({ config: file }, {});
    const line = /```sh\n(.*?)```/s.exec(page)?.[1] ?? "";
    const pool = [...line.matchAll(/--pool (\S+)/g)].map((match) => match[1] ?? "");
    const fromFlags = await loadConfig({ pool, "node-id": /--node-id (\S+)/.exec(line)?.[1] }, {});
    assert.equal(fromFile.pools.length, 2);
    assert.deepEqual(fromFlags, fromFile);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
