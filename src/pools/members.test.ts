import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MemberRecords } from "./members.ts";

interface Scene {
  /** Serves the pool as n1, which takes 7 volumes. */
  readonly own: MemberRecords;
  /** Of another process, elsewhere. */
  readonly other: MemberRecords;
  /** The record of n1. */
  readonly path: string;
  readonly folder: string;
}

async function withMember(use: (scene: Scene) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-members-"));
  try {
    const [own, other] = [new MemberRecords(folder), new MemberRecords(folder)];
    await own.join({ node: "n1", maxVolumes: 7 });
    await use({ own, other, folder, path: join(folder, "6e31.json") });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const record = (fields: object) => `${JSON.stringify({ version: 1, node: "n1", maxVolumes: 7, ...fields })}\n`;

test("a node is one from its first start on, with the limit of its last", () =>
  withMember(async ({ own, other, path, folder }) => {
    assert.equal(await other.limitOf("n1"), 7);
    assert.equal(await other.limitOf("n2"), undefined);
    assert.equal(await own.limitOf("n2"), undefined);
    assert.equal(await own.wrong(), undefined);
    assert.equal(readFileSync(path, "utf8"), record({}));
    await new MemberRecords(folder).join({ node: "n1", maxVolumes: 0 });
    assert.equal(await other.limitOf("n1"), 0);
    // Of two processes of one node neither writes over what the other says.
    assert.equal(await own.wrong(), undefined);
    assert.equal(await own.limitOf("n1"), 0);
  }));

const damages: Readonly<Record<string, (path: string) => void>> = {
  empty: (path) => writeFileSync(path, ""),
  half: (path) => writeFileSync(path, record({}).slice(0, 20)),
  "without its limit": (path) => writeFileSync(path, record({ maxVolumes: undefined })),
  "another node's": (path) => writeFileSync(path, record({ node: "n2" })),
  "a link": (path) => symlinkSync("/dev/null", path),
};
for (const [name, put] of Object.entries(damages)) {
  test(`a record that is ${name} is not believed, and the node writes it anew, while running and at a start`, () =>
    withMember(async ({ own, other, path, folder }) => {
      const mends = [() => own.mend(), () => new MemberRecords(folder).join({ node: "n1", maxVolumes: 7 })];
      for (const mend of mends) {
        rmSync(path);
        put(path);
        await assert.rejects(other.limitOf("n1"), { code: "RECORD_DAMAGED", message: /6e31\.json.*runs on 'n1'/ });
        assert.equal(await own.limitOf("n1"), 7);
        assert.match((await own.wrong()) ?? "", /6e31\.json can't be used/);
        await mend();
        assert.equal(await own.wrong(), undefined);
        assert.equal(await other.limitOf("n1"), 7);
        assert.equal(readFileSync(path, "utf8"), record({}));
      }
      assert.equal(await other.wrong(), undefined, "it is nobody here");
    }));
}

test("a record that is missing is written anew", () =>
  withMember(async ({ own, other, path }) => {
    rmSync(path);
    assert.equal(await other.limitOf("n1"), undefined);
    assert.equal(await own.limitOf("n1"), 7);
    assert.match((await own.wrong()) ?? "", /missing/);
    await own.mend();
    assert.equal(await other.limitOf("n1"), 7);
  }));

test("a newer version's record stays, and the node itself goes on", () =>
  withMember(async ({ own, other, path, folder }) => {
    const newer = record({ version: 2, drained: true });
    writeFileSync(path, newer);
    await assert.rejects(other.limitOf("n1"), { code: "POOL_NEWER", message: /remove the file/ });
    assert.equal(await own.limitOf("n1"), 7);
    assert.equal(await own.wrong(), undefined);
    await new MemberRecords(folder).join({ node: "n1", maxVolumes: 7 });
    assert.equal(readFileSync(path, "utf8"), newer);
  }));

test("a folder in its place stays with what is in it, is named, and keeps no node from starting", () =>
  withMember(async ({ other, path, folder }) => {
    rmSync(path);
    mkdirSync(join(path, "within"), { recursive: true });
    const again = new MemberRecords(folder);
    await again.join({ node: "n1", maxVolumes: 7 });
    assert.equal(await again.limitOf("n1"), 7);
    await assert.rejects(again.mend(), { code: "EISDIR" });
    await assert.rejects(other.limitOf("n1"), { code: "RECORD_DAMAGED" });
    assert.deepEqual(readdirSync(folder), ["6e31.json"]);
    assert.deepEqual(readdirSync(path), ["within"]);
  }));
