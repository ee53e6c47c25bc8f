import assert from "node:assert/strict";
import { appendFile, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { scratchFor } from "../../test/support/scratch.ts";
import { encodeNode, NodeRecords, type StageRecord } from "./node-records.ts";

const key = "0123456789abcdef0123456789abcdef";
const blank: StageRecord = {
  key,
  nonce: "0123456789abcdef",
  stagingPath: "/staging",
  access: "mount",
  mode: "SINGLE_NODE_WRITER",
  fsType: "ext4",
  mountFlags: [],
  state: "opening",
  fileSystem: "",
  targets: [],
};
const target = (path: string) => ({ path, readonly: false, mode: "SINGLE_NODE_WRITER" });

async function withRecords(context: test.TestContext, shared = false) {
  const folder = scratchFor(context).path;
  const own = join(folder, "nodes", encodeNode("n1"));
  await mkdir(own, { recursive: true });
  const records = () => new NodeRecords({ folder, shared }, "n1");
  return { records, own, path: join(own, `${key}.json`) };
}

/** Without what only says how it was written. */
const said = (record: StageRecord | undefined) => record && { ...record, turn: undefined };

test("a note of a local pool is written again where it stands, and each time says what was written last", async (t) => {
  const { records, own, path } = await withRecords(t);
  let record = await records().write(blank);
  const { ino, size } = await stat(path);
  for (const paths of [["/a"], ["/a", "/b"], [], ["/c"]]) {
    record = await records().write({ ...record, state: "staged", targets: paths.map(target) });
    assert.deepEqual(await records().read(key), record);
    assert.deepEqual(record.targets, paths.map(target));
  }
  const after = await stat(path);
  assert.deepEqual([after.ino, after.size], [ino, size], "it takes no room that it did not have from its first write");
  assert.deepEqual(await readdir(own), [`${key}.json`]);
});

test("a write that was cut short leaves what was written before it", async (t) => {
  const { records, path } = await withRecords(t);
  const first = await records().write(blank);
  const second = await records().write({ ...first, targets: [target("/a")] });
  const whole = await readFile(path, "utf8");
  await records().write({ ...second, targets: [target("/b")] });
  const third = await readFile(path, "utf8");
  for (const cut of [1, 20, 40, 100, 200, 300]) {
    await writeFile(path, third.slice(0, cut) + whole.slice(cut));
    assert.deepEqual(await records().read(key), second);
  }
  await records().write({ ...second, targets: [target("/d")] });
  assert.deepEqual((await records().read(key))?.targets, [target("/d")]);
});

test("a note too long for its place is replaced as a whole, and comes back to it", async (t) => {
  const { records } = await withRecords(t);
  const first = await records().write(blank);
  const many = Array.from({ length: 60 }, (_, n) => target(`/targets/${"x".repeat(100)}/${n}`));
  const long = await records().write({ ...first, targets: many });
  assert.deepEqual(await records().read(key), long);
  const short = await records().write({ ...long, targets: [target("/a")] });
  assert.deepEqual(await records().read(key), short);
  // Taken back by who placed it.
  const note = records().begin(key);
  note.fill({ ...short, targets: many });
  const back = await records().write({ ...(await note.place()), targets: [target("/a")] });
  assert.deepEqual(await records().read(key), back);
});

test("a note of the release before is read, and rewritten", async (t) => {
  const { records, path } = await withRecords(t);
  const boot = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  await writeFile(path, `${JSON.stringify({ version: 1, boot, ...blank })}\n`);
  const old = await records().read(key);
  assert.deepEqual(said(old), said(blank));
  await records().write({ ...blank, ...old, state: "staged" });
  assert.equal((await records().read(key))?.state, "staged");
});

test("a note of an earlier boot, an empty one and a torn one count as none, and a new one takes their place", async (t) => {
  const { records, path } = await withRecords(t);
  const earlier = `${JSON.stringify({ version: 1, turn: 9, boot: "another", ...blank })}\n`;
  for (const text of ["", "\0".repeat(8192), earlier, earlier.slice(0, 50)]) {
    await writeFile(path, text);
    assert.equal(await records().read(key), undefined);
    const written = await records().write(blank);
    assert.deepEqual(await records().read(key), written);
  }
});

test("a note is one volume's of one creation, for whoever asks which nodes have it open", async (t) => {
  const { records } = await withRecords(t);
  const first = await records().write(blank);
  await records().write({ ...first, state: "staged" });
  assert.deepEqual(await records().nodesWith(blank), ["n1"]);
  assert.deepEqual(await records().nodesWith({ key, nonce: "other" }), []);
  await records().remove(key);
  assert.deepEqual(await records().nodesWith(blank), []);
});

test("a note of a shared pool, which others read, is one record that is replaced; damage to it is named", async (t) => {
  const { records, path } = await withRecords(t, true);
  const first = await records().write(blank);
  await records().write({ ...first, state: "staged" });
  assert.equal((await readFile(path, "utf8")).split("\n").length, 2);
  await appendFile(path, "damage");
  await assert.rejects(records().read(key), /RECORD_DAMAGED|can't be used/);
});
