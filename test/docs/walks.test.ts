/** The commands of the README and of the guides, run as they stand; only their folders are other ones. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { holdfast, startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { run } from "../support/run.ts";
import { type Scratch, scratchFor } from "../support/scratch.ts";
import { codeBlocks, pages, root } from "./pages.ts";

/** The only shell block of a page that has these words. */
function block(page: string, words: string): string {
  const found = codeBlocks(pages().get(page) ?? "", "sh").filter((text) => text.includes(words));
  assert.equal(found.length, 1, `${page} has ${found.length} blocks with '${words}'`);
  return found[0] ?? "";
}

async function walk(scratch: Scratch, script: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const here = script.replaceAll(/\/(?:srv|run|mnt|backup)\//g, (folder) => `${scratch.path}${folder}`);
  for (const folder of ["srv", "run", "mnt", "backup"]) mkdirSync(join(scratch.path, folder), { recursive: true });
  const PATH = `${dirname(holdfast)}:${process.env["PATH"]}`;
  return run("sh", ["-euc", `cd ${root}\n${here}`], { env: { ...env, PATH }, timeoutMs: 60_000 });
}

test("README: the driver by hand", async (t) => {
  const said = await walk(scratchFor(t), `${block("README.md", "volume create photos")}\nwait`);
  assert.match(said, /deleted/);
});

test("the guides, over an image pool with reflinks", async (t) => {
  const scratch = scratchFor(t);
  const { path } = await makePoolDisk(scratch, "xfs");
  const driver = await startDriver(scratch, { pools: [`fast=image:${path},size=40Gi`] });
  const env = { CSI_ENDPOINT: `unix://${driver.socket}` };
  await walk(scratch, block("docs/guides/install-on-one-machine.md", "volume create first"), env);
  const id = "ID=$(holdfast volume create photos --size 1Gi --output id)";
  const away = 'for V in "$RESTORED" "$CLONE" "$ID"; do holdfast volume delete "$V"; done';
  await walk(scratch, [id, block("docs/guides/snapshots-and-clones.md", "--from-volume"), away].join("\n"), env);
  const backup = block("docs/guides/back-up-a-pool.md", "snapshot create nightly");
  await walk(scratch, [id, backup, 'holdfast volume delete "$ID"'].join("\n"), env);
  const { entries } = await driver.client.controller.listVolumes({});
  assert.deepEqual(entries, []);
});

test("the guide of shared pools: attach, stage, detach", async (t) => {
  const scratch = scratchFor(t);
  mkdirSync(join(scratch.path, "pool"));
  const pool = `shared=image:${join(scratch.path, "pool")},shared,size=20Gi`;
  const driver = await startDriver(scratch, { pools: [pool], nodeId: "worker-1" });
  const script = block("docs/guides/shared-pools.md", "volume attach").replace(/^export .*$/m, "");
  const said = await walk(scratch, `${script}\nholdfast volume delete "$ID"`, {
    CSI_ENDPOINT: `unix://${driver.socket}`,
  });
  assert.match(said, /attached to worker-1[\s\S]*detached from worker-1/);
});
