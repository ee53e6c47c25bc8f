import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { keepSpareLocks } from "../../host/locks.ts";
import { filesOfVolumes } from "./host-view.ts";
import { holdsFiles, makeFolder } from "./scratch.ts";
import { CheckFailed } from "./story.ts";
import { compare, copyTree, manifestOf } from "./tree.ts";
import { checkLines, Writer } from "./writer.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-checks-"));
after(() => rmSync(folder, { recursive: true }));
const failed = (pattern: RegExp) => (error: unknown) => error instanceof CheckFailed && pattern.test(error.message);

test("a copied tree is the same, and each difference is named", async () => {
  const [from, to] = [join(folder, "from"), join(folder, "to")];
  mkdirSync(join(from, "a/b"), { recursive: true });
  mkdirSync(join(from, "skipped"));
  writeFileSync(join(from, "skipped/x"), "x");
  writeFileSync(join(from, "a/b/text"), "text");
  writeFileSync(join(from, "a/run"), "#!");
  chmodSync(join(from, "a/run"), 0o755);
  symlinkSync("b/text", join(from, "a/link"));
  const { manifest, bytes } = await manifestOf(from, new Set(["skipped"]));
  assert.deepEqual([[...manifest.keys()].sort(), bytes], [["a/b/text", "a/link", "a/run"], 6]);
  mkdirSync(to);
  await copyTree(from, to, manifest);
  compare("the copy", manifest, (await manifestOf(to)).manifest);

  writeFileSync(join(to, "a/b/text"), "tExt");
  chmodSync(join(to, "a/run"), 0o644);
  rmSync(join(to, "a/link"));
  writeFileSync(join(to, "more"), "");
  const { manifest: found } = await manifestOf(to);
  const all =
    /the copy is not.*\n.*differs: a\/b\/text.*\n.*missing: a\/link\n.*differs: a\/run \(644.*755.*\n.*not expected: more/;
  const sorted = new Map([...manifest].sort(([a], [b]) => (a < b ? -1 : 1)));
  assert.throws(() => compare("the copy", sorted, found), failed(all));
});

test("the journal's lines are whole, in order, and as many as time allows", async () => {
  const path = join(folder, "journal");
  const writer = await Writer.start(path);
  while (writer.lines < 5) await new Promise(setImmediate);
  await writer.stop();
  assert.equal(await checkLines(path, 5, writer.lines), writer.lines);
  await assert.rejects(checkLines(path, writer.lines + 1, writer.lines + 1), failed(/must have/));
  await assert.rejects(checkLines(path, 0, 1), failed(/must have/));
  appendFileSync(path, "line");
  assert.equal(
    await checkLines(path, 5, writer.lines),
    writer.lines,
    "a last line that is half there was not acknowledged",
  );
  appendFileSync(path, " 9999\nline 0\n");
  await assert.rejects(checkLines(path, 0, 10_000), failed(/is 'line 9999'/));
});

test("only a folder that quickstart made is cleared away", () => {
  const foreign = join(folder, "foreign");
  mkdirSync(foreign);
  writeFileSync(join(foreign, "precious"), "");
  assert.throws(() => makeFolder(foreign), failed(/not made by quickstart/));
  symlinkSync(foreign, join(folder, "link"));
  assert.throws(() => makeFolder(join(folder, "link")), failed(/not a folder of this user/));
  const own = join(folder, "own");
  assert.deepEqual(makeFolder(own), { cleared: false });
  writeFileSync(join(own, "left"), "");
  assert.deepEqual(makeFolder(own), { cleared: true });
});

test("a folder in which another quickstart works is left alone", async () => {
  const busy = join(folder, "busy");
  makeFolder(busy);
  const other = spawn("sleep", ["60"], { argv0: "x" });
  const like = spawn(process.execPath, ["-e", "setTimeout(() => {}, 60_000)", "quickstart", "--keep"]);
  try {
    await Promise.all([other, like].map((child) => new Promise((resolve) => child.once("spawn", resolve))));
    writeFileSync(join(busy, ".holdfast-quickstart"), String(like.pid));
    assert.throws(() => makeFolder(busy), failed(/another quickstart works/));
    writeFileSync(join(busy, ".holdfast-quickstart"), String(other.pid));
    assert.deepEqual(makeFolder(busy), { cleared: true });
  } finally {
    other.kill();
    like.kill();
  }
});

test("an empty pool's own files are not what is left of a volume, and all else is", async () => {
  const pool = join(folder, "pool");
  mkdirSync(join(pool, "locks"), { recursive: true });
  writeFileSync(join(pool, "holdfast.json"), "{}");
  await keepSpareLocks(join(pool, "locks"));
  assert.deepEqual(filesOfVolumes(pool), []);
  writeFileSync(join(pool, "locks/volume-1"), "");
  assert.deepEqual(filesOfVolumes(pool), ["locks/volume-1"]);
});

test("a killed process holds its files until it is over, also when nobody waits for it", async () => {
  // The shell becomes a sleep that never waits for the child that it had.
  const shell = spawn("sh", ["-c", "sleep 60 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "ignore"] });
  try {
    const pid = Number(await new Promise((resolve) => shell.stdout.once("data", resolve)));
    assert.equal(holdsFiles(pid), true);
    process.kill(pid, "SIGKILL");
    while (holdsFiles(pid)) await new Promise(setImmediate);
    assert.ok(existsSync(`/proc/${pid}`), "it is there, as a zombie");
  } finally {
    const ended = new Promise((resolve) => shell.once("exit", resolve));
    shell.kill("SIGKILL");
    await ended;
  }
  assert.equal(holdsFiles(Number(shell.pid)), false);
});
