/** Two nodes over one shared pool: one opener at a time, and a node that was declared gone can still tidy up. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { loopDevicesOf } from "../support/leftovers.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { call, mounted, openRules, problem, type Rules, raw } from "../support/rules.ts";
import { type Scratch, scratchFor } from "../support/scratch.ts";

async function twoNodes(scratch: Scratch): Promise<[Rules, Rules]> {
  const { path } = await makePoolDisk(scratch, "xfs");
  return [
    await openRules(scratch, path, { shared: true, node: "n1" }),
    await openRules(scratch, path, { shared: true, node: "n2" }),
  ];
}
function attach(rules: Rules, id: string, nodeId: string, capability = mounted, readonly = false) {
  return rules.driver.controller.attach(
    { id, nodeId, capability, readonly, context: {} },
    call("ControllerPublishVolume"),
  );
}
function detach(rules: Rules, id: string, nodeId: string) {
  return rules.driver.controller.detach({ id, nodeId }, call("ControllerUnpublishVolume"));
}
const devices = (rules: Rules) => loopDevicesOf(rules.pool).length;

for (const capability of [mounted, raw]) {
  test(`a node that lost a ${capability.access} volume by force closes the old one and can have it again`, async (t) => {
    const scratch = scratchFor(t);
    const [one, two] = await twoNodes(scratch);
    const { id } = await one.create("a", capability);
    await attach(one, id, "n1", capability);
    const [old, target] = [one.folder("s1"), join(one.folder("t1"), "x")];
    await one.stage(id, old, capability);
    await one.publish(id, old, target, capability);
    const write = (path: string, text: string) =>
      writeFileSync(capability.access === "mount" ? join(path, "data") : path, text, { flush: true });
    const at = (path: string) => (capability.access === "mount" ? join(path, "data") : path);
    write(target, "first");
    await assert.rejects(detach(two, id, "n1"), problem("VOLUME_IN_USE"));
    await assert.rejects(two.stage(id, two.folder("s2"), capability), problem("NOT_ATTACHED"));
    await two.driver.forceDetach(id, call("force"));
    await attach(two, id, "n2", capability);
    write(target, "late");
    await assert.rejects(one.publish(id, old, `${target}2`, capability), problem("NOT_STAGED"));
    await one.unpublish(id, target);
    await one.unstage(id, old);
    assert.equal(devices(one), 0, "the device of the old bytes is gone");
    const [staging, place] = [two.folder("s2"), join(two.folder("t2"), "x")];
    await two.stage(id, staging, capability);
    await two.publish(id, staging, place, capability);
    assert.equal(readFileSync(at(place)).subarray(0, 5).toString(), "first");
    await two.unpublish(id, place);
    await two.unstage(id, staging);
    await detach(two, id, "n2");
    await attach(one, id, "n1", capability);
    await one.stage(id, old, capability);
    await one.unstage(id, old);
    await detach(one, id, "n1");
    await one.remove(id);
  });
}

test("a directory is taken from a node by force only where the operator says that it runs no more", async (t) => {
  const scratch = scratchFor(t);
  const { path } = await makePoolDisk(scratch, "xfs");
  const shared = { backend: "directory", shared: true };
  const one = await openRules(scratch, path, { ...shared, node: "n1" });
  const { id } = await one.create("a", mounted);
  await attach(one, id, "n1");
  await assert.rejects(one.driver.forceDetach(id, call("force")), problem("FEATURE_ABSENT"));
  assert.deepEqual((await one.driver.controller.get(id, call("ControllerGetVolume"))).publishedNodes, ["n1"]);
  assert.deepEqual(await one.driver.forceDetach(id, call("force"), { unfenced: true }), ["n1"]);
  assert.deepEqual((await one.driver.controller.get(id, call("ControllerGetVolume"))).publishedNodes, []);
  await one.remove(id);
});

test("a volume that is attached read-only can't be written, whatever it is staged as", async (t) => {
  const scratch = scratchFor(t);
  const [one] = await twoNodes(scratch);
  const { id } = await one.create("a", mounted);
  const staging = one.folder("s1");
  await attach(one, id, "n1");
  await one.stage(id, staging, mounted);
  await one.unstage(id, staging);
  await detach(one, id, "n1");
  await attach(one, id, "n1", mounted, true);
  await one.stage(id, staging, mounted);
  await one.stage(id, staging, mounted);
  assert.throws(() => writeFileSync(join(staging, "data"), "x"), /EROFS/);
  await one.unstage(id, staging);
  await detach(one, id, "n1");
  await one.remove(id);
});

test("a shared directory is not unstaged while its node has it published; what other nodes do holds nobody up", async (t) => {
  const scratch = scratchFor(t);
  const { path } = await makePoolDisk(scratch, "xfs");
  const [one, two] = [
    await openRules(scratch, path, { backend: "directory", shared: true, node: "n1" }),
    await openRules(scratch, path, { backend: "directory", shared: true, node: "n2" }),
  ];
  const many = { ...mounted, mode: "MULTI_NODE_MULTI_WRITER" } as const;
  const { id } = await one.create("a", many);
  const staged = [
    { rules: one, staging: one.folder("s1"), target: join(one.folder("t1"), "x") },
    { rules: two, staging: one.folder("s2"), target: join(one.folder("t2"), "x") },
  ] as const;
  for (const { rules, staging, target } of staged) {
    await attach(rules, id, rules === one ? "n1" : "n2", many);
    await rules.stage(id, staging, many);
    await rules.publish(id, staging, target, many);
  }
  for (const { rules, staging, target } of staged) {
    await assert.rejects(rules.unstage(id, staging), problem("VOLUME_IN_USE"));
    await rules.unpublish(id, target);
    await rules.unstage(id, staging);
    await detach(rules, id, rules === one ? "n1" : "n2");
  }
  await one.remove(id);
});

test("what a detach by force left that was killed goes with the next one", async (t) => {
  const scratch = scratchFor(t);
  const [one, two] = await twoNodes(scratch);
  const { id } = await one.create("a", mounted);
  await attach(one, id, "n1");
  const left = join(one.pool, "building", `fence-${basename(one.folderOf("a"))}-0123456789ab-0`);
  mkdirSync(left);
  writeFileSync(join(left, "data.img"), "a copy");
  assert.deepEqual(await two.driver.forceDetach(id, call("force")), ["n1"]);
  assert.deepEqual(readdirSync(join(one.pool, "building")), []);
  await one.remove(id);
});

test("a damaged record of a node is named, holds up nobody on that node, and is written anew by its driver", async (t) => {
  const scratch = scratchFor(t);
  const [one, two] = await twoNodes(scratch);
  const { id } = await one.create("a", mounted);
  const record = join(one.pool, "members", `${Buffer.from("n1").toString("hex")}.json`);
  const right = readFileSync(record, "utf8");
  writeFileSync(record, "{");
  await assert.rejects(attach(two, id, "n1"), problem("RECORD_DAMAGED"));
  await attach(one, id, "n1");
  await detach(one, id, "n1");
  one.driver.start();
  for (let tries = 0; readFileSync(record, "utf8") !== right; tries += 1) {
    assert.ok(tries < 80, "the record is still damaged");
    await sleep(100);
  }
  await attach(two, id, "n1");
  await detach(two, id, "n1");
  await one.remove(id);
});
