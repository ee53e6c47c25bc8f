import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Ajv } from "ajv";
import { publishedSchema, schemaFile } from "./config-schema.ts";

test("the published schema is the one that the code checks with", () => {
  assert.deepEqual(
    JSON.parse(readFileSync(schemaFile, "utf8")),
    JSON.parse(publishedSchema()),
    "not current: run npm run generate",
  );
});

test("the published schema takes what the driver takes, and refuses what it refuses", () => {
  const validate = new Ajv({ allowUnionTypes: true, strict: true, strictTypes: false }).compile(
    JSON.parse(publishedSchema()),
  );
  const pool = { name: "fast", backend: "image", path: "/srv/fast" };
  const good = [
    {},
    { pools: [pool] },
    {
      pools: [{ ...pool, size: "10Gi", reserve: 1024, overcommit: 1.5, thick: true, maxFreeze: "10s" }],
      services: ["node"],
    },
    { driverName: "local.csi.holdfast", nodeId: "a", endpoint: "unix:///run/x.sock", graceSeconds: 0.5 },
  ];
  const bad = [
    { pool: [] },
    { pools: [{ name: "fast", backend: "image" }] },
    { pools: [{ ...pool, sise: 1 }] },
    { pools: [{ ...pool, overcommit: 0 }] },
    { pools: [{ ...pool, name: "A B" }] },
    { services: [] },
    { logLevel: "loud" },
    { maxVolumes: 1.5 },
    { driverName: "local.csi.1" },
    { endpoint: "tcp://0.0.0.0:1" },
  ];
  for (const config of good) assert.equal(validate(config), true, JSON.stringify([config, validate.errors]));
  for (const config of bad) assert.equal(validate(config), false, JSON.stringify(config));
});
