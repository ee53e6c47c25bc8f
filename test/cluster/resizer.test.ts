/** Our resizer on a real API server, with our driver and with one that answers as the test says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeClass, makeSpace } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { staticVolume } from "../support/cluster/static-volume.ts";
import { startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const driverName = "local.csi.holdfast";
const mount = { accessType: { case: "mount", value: {} }, accessMode: { mode: 1 } } as const;

test("a claim grows with our driver, on the node that has it and on no other", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const other = await makePoolDisk(scratch, "xfs");
  const [plane, driver, second] = await Promise.all([
    startControlPlane(scratch),
    startDriver(scratch, { pools: [`p=image:${disk.path}`], nodeId: "n1" }),
    startDriver(scratch, { pools: [`p=image:${other.path}`], nodeId: "n2" }),
  ]);
  const helpers = [
    startHelper(plane, "resizer", { socket: driver.socket, node: "n1", name: "resizer-n1" }),
    startHelper(plane, "resizer", { socket: second.socket, node: "n2", name: "resizer-n2" }),
  ];
  await makeClass(plane, "c", { driver: driverName });
  const space = await makeSpace(plane, "growth");
  const make = async (name: string) => {
    const answer = await driver.client.controller.createVolume({
      name,
      capacityRange: { requiredBytes: 64n << 20n },
      volumeCapabilities: [mount],
      accessibilityRequirements: { requisite: [{ segments: { [`${driverName}/node`]: "n1" } }] },
    });
    const handle = answer.volume?.volumeId ?? "";
    await staticVolume(space, name, {
      driver: driverName,
      class: "c",
      handle,
      topology: { [`${driverName}/node`]: "n1" },
    });
    return handle;
  };

  await t.test("up to the node's part", async () => {
    const handle = await make("data");
    await space.resize("data", "128Mi");
    const claim = await plane.until("the node's part is pending", async () => {
      const now = await space.getClaim("data");
      return now.status.allocatedResourceStatuses?.["storage"] === "NodeResizePending" ? now : undefined;
    });
    assert.deepEqual(claim.status.conditions?.map(({ type }) => type).sort(), ["FileSystemResizePending", "Resizing"]);
    assert.equal(claim.status.capacity?.storage, "64Mi");
    assert.equal((await space.bound("data")).spec.capacity.storage, "128Mi");
    const listed = await driver.client.controller.listVolumes({});
    assert.equal(listed.entries.find(({ volume }) => volume?.volumeId === handle)?.volume?.capacityBytes, 128n << 20n);
    assert.match((await space.events()).join("\n"), /data Resizing: .*\n.*data FileSystemResizeRequired: /);
    assert.doesNotMatch(second.log(), /ControllerExpandVolume/);
  });

  for (const helper of helpers) assert.equal(await helper.stop(), 0);
});
