import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { open, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { diskUsage, reflink, reflinks, sparseCopy } from "./copies.ts";
import {
  createExclusively,
  preallocate,
  punch,
  Replacement,
  renameNoReplace,
  SyncedDirectory,
  settleDirectories,
  sweepTemporaries,
  syncDirectory,
  temporaryBeside,
  writeDurably,
} from "./files.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-files-"));
after(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

test("a file is replaced whole and nothing is left beside it", async () => {
  await writeDurably(at("record"), "one");
  await writeDurably(at("record"), "two");
  assert.equal(readFileSync(at("record"), "utf8"), "two");
  assert.deepEqual(readdirSync(folder), ["record"]);
});

test("of many that create the same file one wins, and its content is whole", async () => {
  const tries = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => createExclusively(at("one"), `by ${i}`)));
  const won = tries.flatMap((t, i) => (t.status === "fulfilled" ? [i] : []));
  assert.equal(won.length, 1);
  assert.equal(readFileSync(at("one"), "utf8"), `by ${won[0]}`);
  for (const t of tries) if (t.status === "rejected") assert.equal(t.reason.code, "EEXIST");
  assert.equal(readdirSync(folder).filter((n) => n.endsWith(".tmp")).length, 0);
});

test("directory syncs share the next one, not the one that runs", async () => {
  const first = syncDirectory(folder);
  const second = syncDirectory(folder);
  const third = syncDirectory(folder);
  assert.notEqual(first, second);
  assert.equal(second, third);
  await Promise.all([first, second]);
  await assert.rejects(syncDirectory(at("missing")), { code: "ENOENT" });
});

test("a directory that is synced often stays open for a moment, and one that took its place is synced itself", async () => {
  mkdirSync(at("often"));
  const opened = () =>
    readdirSync("/proc/self/fd").flatMap((fd) => {
      try {
        const to = readlinkSync(`/proc/self/fd/${fd}`);
        return to.startsWith(at("often")) ? [to] : [];
      } catch {
        return []; // of the look itself
      }
    });
  const often = new SyncedDirectory(at("often"));
  const [first, second, third] = [often.sync(), often.sync(), syncDirectory(at("often"))];
  assert.notEqual(first, second);
  assert.equal(second, third);
  await Promise.all([first, second]);
  assert.deepEqual(opened(), [at("often")]);
  rmdirSync(at("often"));
  await assert.rejects(often.sync(), { code: "ENOENT" });
  assert.deepEqual(opened(), []);
  mkdirSync(at("often"));
  await often.sync();
  rmdirSync(at("often"));
  mkdirSync(at("often"));
  await often.sync();
  assert.deepEqual(opened(), [at("often")]);
  for (let waited = 0; opened().length > 0 && waited < 3000; waited += 20) await delay(20);
  assert.deepEqual(opened(), []);
  await often.sync();
  often.end();
  assert.deepEqual(opened(), []);
  rmdirSync(at("often"));
});

test("a replacement shows nothing before its moment, and one that is dropped leaves nothing", async () => {
  mkdirSync(at("steps"));
  const file = at("steps/record");
  const seen = () => readdirSync(at("steps")).filter((name) => !name.startsWith("."));
  const first = new Replacement(file, false);
  first.fill("one");
  await delay(20);
  assert.deepEqual(seen(), []);
  await first.place();
  const second = new Replacement(file, true);
  const third = new Replacement(file, true);
  const fourth = new Replacement(file, true);
  second.fill("two");
  third.fill("three");
  await Promise.all([third.drop(), fourth.drop()]);
  await Promise.all([first.drop(), third.drop()]);
  assert.equal(readFileSync(file, "utf8"), "one");
  await second.place();
  assert.equal(readFileSync(file, "utf8"), "two");
  assert.deepEqual(readdirSync(at("steps")), ["record"]);
  const nowhere = new Replacement(at("none/record"), false);
  nowhere.fill("x");
  await assert.rejects(nowhere.place(), { code: "ENOENT" });
  await new Replacement(at("none/record"), false).drop();
  mkdirSync(at("steps/folder"));
  const refused = new Replacement(at("steps/folder"), false);
  refused.fill("x");
  await assert.rejects(refused.place(), { code: "EISDIR" });
  assert.deepEqual(readdirSync(at("steps")), ["folder", "record"]);
  rmSync(at("steps"), { recursive: true });
});

test("rename without replacing", async () => {
  writeFileSync(at("from"), "");
  writeFileSync(at("to"), "");
  await assert.rejects(renameNoReplace(at("from"), at("to")), { code: "EEXIST" });
  await renameNoReplace(at("from"), at("elsewhere"));
  await assert.rejects(renameNoReplace(at("from"), at("x")), {
    message: `rename ${at("from")} to ${at("x")}: ENOENT (no such file or directory)`,
  });
});

test("a sparse file is copied with its holes", async () => {
  const file = await open(at("source"), "w");
  await file.write(Buffer.alloc(1 << 20, 7), 0, 1 << 20, 5 << 20);
  await file.write(Buffer.from("end"), 0, 3, 40 << 20);
  await file.close();
  await truncate(at("source"), 64 << 20);
  let seen = 0;
  await sparseCopy(at("source"), at("copy"), { onProgress: (bytes) => (seen = bytes) });
  assert.ok(readFileSync(at("source")).equals(readFileSync(at("copy"))));
  assert.equal(seen, 64 << 20);
  assert.ok((await diskUsage(at("copy"))) <= 2 << 20);
  await assert.rejects(sparseCopy(at("source"), at("none"), { signal: AbortSignal.abort() }), { name: "AbortError" });
});

test("blocks are reserved and given back", async () => {
  const file = await open(at("reserved"), "w");
  await preallocate(file.fd, 8 << 20);
  assert.ok((await diskUsage(at("reserved"))) >= 8 << 20);
  await punch(file.fd, 0, 4 << 20);
  assert.ok((await diskUsage(at("reserved"))) <= 5 << 20);
  assert.equal((await stat(at("reserved"))).size, 8 << 20);
  await file.close();
});

test("a reflink is refused where the file system has none", async (t) => {
  const can = await reflinks(folder);
  if (can) return t.skip("the scratch folder can reflink");
  assert.equal(await reflink(at("source"), at("clone")), false);
});

test("what writers that died left is swept, and only that", async () => {
  const fresh = temporaryBeside(at("record"));
  const old = temporaryBeside(at("record"));
  for (const path of [fresh, old]) writeFileSync(path, "half");
  utimesSync(old, 1, 1);
  assert.equal(await sweepTemporaries(folder), 1);
  assert.equal(existsSync(fresh) && !existsSync(old) && existsSync(at("record")), true);
  assert.equal(await sweepTemporaries(folder, -1000), 1);
});

test("a directory whose sync failed is synced again before anybody relies on its names, and only then", async () => {
  const doubtful = at("doubtful");
  mkdirSync(doubtful);
  assert.equal(settleDirectories(doubtful), undefined);
  const failing = () => Promise.reject(Object.assign(new Error("EIO: i/o error, fsync"), { errno: -5, code: "EIO" }));
  await assert.rejects(syncDirectory(doubtful, failing), { code: "EIO" });
  assert.notEqual(settleDirectories(doubtful), undefined);
  await settleDirectories(doubtful);
  assert.equal(settleDirectories(doubtful), undefined);
});
