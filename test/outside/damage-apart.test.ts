/** What is wrong with one file of the pool stays with what that file is about, also at a start. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { newestNote } from "../../src/pools/note-file.ts";
import { writeFiles } from "../support/content.ts";
import { startDriver } from "../support/driver.ts";
import { createSnapshot, createVolume, refused, takeVolume } from "../support/orchestrator.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const node = Buffer.from("n1").toString("hex");

describe("a damaged file of the pool", () => {
  test("keeps no start from undoing what a crash left of others", async (t) => {
    const scratch = scratchFor(t);
    const disk = await makePoolDisk(scratch, "xfs");
    const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`] });
    const volume = await createVolume(driver, "half");
    const { volumeId } = volume;
    const place = await takeVolume(scratch, driver, volume);
    await driver.client.node.nodeUnpublishVolume({ volumeId, targetPath: place.target });
    await driver.kill();
    const notes = join(disk.path, "nodes", node);
    const [note = ""] = readdirSync(notes).map((name) => join(notes, name));
    const fields = JSON.parse(newestNote(readFileSync(note, "utf8"))) as object;
    writeFileSync(note, `${JSON.stringify({ ...fields, state: "opening" })}\n`);
    const strange = "0".repeat(32);
    writeFileSync(join(notes, `${strange}.json`), "[]");
    mkdirSync(join(disk.path, "locks", `volume-${strange}`));
    mkdirSync(join(disk.path, "controllers", "strange"));
    execFileSync("mkfifo", [join(notes, `freeze-${strange}`)]);
    const spare = join(disk.path, "locks", "spare-0");
    rmSync(spare);
    symlinkSync("nowhere", spare);
    await driver.start();
    for (let tries = 0; existsSync(note); tries += 1) {
      assert.ok(tries < 250, "the stage that was cut short is not undone");
      await sleep(20);
    }
    await place.release();
    await createVolume(driver, "new");
  });

  test("a record that calls its volume otherwise is damaged, and no second volume is made", async (t) => {
    const scratch = scratchFor(t);
    const disk = await makePoolDisk(scratch, "xfs");
    const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`] });
    await createVolume(driver, "one");
    const volumes = join(disk.path, "volumes");
    const [key = ""] = readdirSync(volumes);
    const record = join(volumes, key, "record.json");
    const right = readFileSync(record, "utf8");
    writeFileSync(record, right.replace('"one"', '"ond"'));
    await refused(createVolume(driver, "one"), "DATA_LOSS", /'one' calls it 'ond'.*RECORD_DAMAGED/s);
    writeFileSync(record, right);
    await createVolume(driver, "one");
    assert.deepEqual(readdirSync(volumes), [key]);
  });

  test("a marker that is another pool's: no name gets a second volume", async (t) => {
    const scratch = scratchFor(t);
    const disk = await makePoolDisk(scratch, "xfs");
    const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`], initPools: "first" });
    for (const name of ["one", "two"]) await createVolume(driver, name);
    const marker = join(disk.path, "holdfast.json");
    const right = readFileSync(marker, "utf8");
    const other = { ...(JSON.parse(right) as object), uuid: "5".repeat(32) };
    await driver.kill();
    writeFileSync(marker, `${JSON.stringify(other)}\n`);
    await driver.start([], [], true);
    await refused(createVolume(driver, "one"), "UNAVAILABLE", /marker of another pool/);
    writeFileSync(marker, right);
    await createVolume(driver, "one");
    assert.equal(readdirSync(join(disk.path, "volumes")).length, 2);
  });
});

test("a file system that somebody else froze is not cut, and stays frozen over a start", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`] });
  const volume = await createVolume(driver, "v");
  const place = await takeVolume(scratch, driver, volume);
  writeFiles(place.target, "v", 1);
  execFileSync("fsfreeze", ["--freeze", place.target]);
  try {
    await refused(createSnapshot(driver, "s", volume.volumeId), "FAILED_PRECONDITION", /cannot freeze/);
    await driver.crash();
    assert.throws(() => execFileSync("fsfreeze", ["--freeze", place.target], { stdio: "pipe" }), /busy/i);
  } finally {
    execFileSync("fsfreeze", ["--unfreeze", place.target]);
  }
  await createSnapshot(driver, "s", volume.volumeId);
  await place.release();
});
