import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { testServer } from "../../csi/test-server.ts";
import { initPool } from "../../pools/marker.ts";
import { systemCalls } from "./calls.ts";
import { kernel } from "./kernel.ts";
import { loops } from "./loops.ts";
import { poolFindings } from "./pools.ts";
import { powers } from "./process.ts";
import { socket } from "./socket.ts";
import { programs } from "./tools.ts";

const hostFolder = join(import.meta.dirname, "../../host");

test("old kernels and missing file systems are told", () => {
  const all = "nodev\ttmpfs\n\text4\n\txfs\n\tbtrfs\n";
  assert.deepEqual(
    kernel("6.18.4-x", all).map(({ level }) => level),
    ["ok", "ok"],
  );
  assert.equal(kernel("5.15.0", all)[0]?.level, "warning");
  assert.equal(kernel("5.4.0", all)[0]?.level, "error");
  assert.match(kernel("6.18.0", "\text4\n")[1]?.told ?? "", /xfs, btrfs/);
});

test("capabilities are read bit by bit", () => {
  const levels = (mask: string, uid: number) => powers(`CapEff:\t${mask}\n`, uid).map(({ level }) => level);
  assert.deepEqual(levels("000001ffffffffff", 0), ["ok", "ok", "ok"]);
  assert.deepEqual(levels("000001fffeffffff", 0), ["ok", "ok", "warning"]);
  assert.deepEqual(levels("0000000000000000", 1000), ["error", "error", "warning"]);
});

test("a loop-control that is not there is an error with its fix", async () => {
  assert.match((await loops("/none/loop-control"))[0]?.fix ?? "", /modprobe loop/);
});

test("a folder that is missing or no pool is an error; a pool tells its file system", async () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-doctor-"));
  try {
    const pool = { name: "fast", backend: "image", path: folder, shared: false, options: { extra: {} } };
    assert.match((await poolFindings({ ...pool, path: `${folder}/none` }, "a"))[0]?.told ?? "", /is not there/);
    assert.match((await poolFindings(pool, "a"))[0]?.fix ?? "", /holdfast pool init/);
    await initPool({ folder, backend: "image", shared: false, node: "a" });
    const findings = await poolFindings(pool, "a");
    assert.deepEqual(findings[0]?.level, "ok");
    assert.match(findings.map(({ told }) => told).join("\n"), /free of[\s\S]*reflinks/);
    assert.match((await poolFindings(pool, "b"))[0]?.told ?? "", /belongs to a/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the socket is told by who answers", async () => {
  await using server = await testServer({});
  assert.match((await socket(server.path))[0]?.told ?? "", /1\.2\.3 answers .* and is ready/);
  assert.equal((await socket(`${server.path}.none`))[0]?.level, "warning");
  assert.equal((await socket(server.directory))[0]?.level, "error");
});

test("each program that the host's rooms start is looked for", async () => {
  const sources = readdirSync(hostFolder, { recursive: true, encoding: "utf8" }).filter((name) =>
    /(?<!\.test)\.ts$/.test(name),
  );
  const started = sources.flatMap((name) => {
    const text = readFileSync(join(hostFolder, name), "utf8");
    return [...text.matchAll(/\b(?:runTool|runDurably|run)\(\s*"([\w.]+)"/g)].map((match) => match[1] ?? "");
  });
  assert(started.includes("mkfs.ext4"), "the pattern finds none");
  const told = (await programs()).map((finding) => `${finding.what} ${finding.told}`).join("\n");
  for (const name of started) assert.match(told, new RegExp(`\\b${name.replace(".", "\\.")}\\b`));
});

test("the system calls work on a machine that passes these tests", async () => {
  const findings = await systemCalls();
  assert.deepEqual(
    findings.map(({ level }) => level),
    ["ok"],
    JSON.stringify(findings),
  );
  assert.match(findings[0]?.told ?? "", /openat2; open_tree; statmount/);
});
