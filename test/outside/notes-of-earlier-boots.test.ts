/** What a start after a reboot tidies while calls come already. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { lockFile } from "../../src/host/locks.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { call, mounted, openRules } from "../support/rules.ts";
import { scratchFor } from "../support/scratch.ts";

for (const shared of [false, true]) {
  test(`of a ${shared ? "shared" : "local"} pool a note of an earlier boot goes, and never the new one that a call is about to write`, async (t) => {
    const scratch = scratchFor(t);
    const disk = await makePoolDisk(scratch, "xfs");
    const first = await openRules(scratch, disk.path, { shared });
    const staging = first.folder("staging");
    const notes: string[] = [];
    for (const name of ["a", "b"]) {
      const { id } = await first.create(name);
      if (shared) {
        const asked = { id, nodeId: "n1", capability: mounted, readonly: false, context: {} };
        await first.driver.controller.attach(asked, call("ControllerPublishVolume"));
      }
      await first.stage(id, staging);
      const note = first.recordsOf().find((each) => each.includes(basename(first.folderOf(name)))) ?? "";
      const written = readFileSync(note, "utf8");
      await first.unstage(id, staging);
      writeFileSync(note, written.replaceAll(/"boot":"[^"]*"/g, '"boot":"another"'));
      notes.push(note);
    }
    const [held = "", free = ""] = notes;
    await first.driver.stop(1_000);

    const lock = await lockFile(first.lockOf("a"));
    assert.ok("release" in lock);
    const again = await openRules(scratch, disk.path, { shared });
    again.driver.start();
    for (let tries = 0; tries < 100 && existsSync(free); tries += 1) await sleep(20);
    assert.equal(existsSync(free), false);
    await sleep(100);
    assert.ok(existsSync(held), "it was taken away while a call had its volume");
    await lock.release();
    for (let tries = 0; tries < 100 && existsSync(held); tries += 1) await sleep(20);
    assert.equal(existsSync(held), false);
  });
}
