/** Our provisioner, on one node with a local pool: what a claim meets from its making to its end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeClass, makeDriverObject, makeSpace } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { registerNode } from "../support/cluster/objects.ts";
import { startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const driverName = "local.csi.holdfast";

test("the provisioner of a node", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const [plane, driver] = await Promise.all([
    startControlPlane(scratch),
    startDriver(scratch, { pools: [`p=image:${disk.path}`], nodeId: "n1" }),
  ]);
  await makeDriverObject(plane, driverName);
  await registerNode(plane, "n1", driver.client);
  await makeClass(plane, "fast", { driver: driverName });
  const space = await makeSpace(plane, "mine");
  const volumes = async () => (await driver.client.controller.listVolumes({})).entries.length;
  const options = { intentsFolder: `${scratch.path}/intents` };
  const helper = startHelper(plane, "provisioner", { socket: driver.socket, node: "n1", options });

  await t.test("a claim that selected the node is bound, and its volume goes with it", async () => {
    await space.claim("data", { class: "fast", selectedNode: "n1" });
    await space.bound("data");
    assert.equal(await volumes(), 1);
    await space.removeClaim("data");
    assert.equal(await volumes(), 0);
  });

  assert.equal(await helper.stop(), 0);
});
