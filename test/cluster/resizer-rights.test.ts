/** The resizer of a node with the rights of that node only, as the chart gives them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { renderChart } from "../support/cluster/chart.ts";
import { makeSpace } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { ensure, makeNode, tokenFor } from "../support/cluster/objects.ts";
import { startScripted } from "../support/cluster/scripted-driver.ts";
import { staticVolume } from "../support/cluster/static-volume.ts";
import { scratchFor } from "../support/scratch.ts";

const driverName = "local.csi.holdfast";
const topology = { [`${driverName}/node`]: "n1" };

test("a node grows its volumes with its own token", { timeout: 100_000 }, async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  await ensure(plane.api, "/api/v1/namespaces", "holdfast");
  await plane.apply(await renderChart());
  await makeNode(plane, "n1", { drivers: [{ name: driverName }] });
  const driver = await startScripted(scratch, { name: driverName, controller: ["EXPAND_VOLUME"], topology });
  let onNode = false;
  driver.answers = {
    controllerExpandVolume: ({ capacityRange }) =>
      Promise.resolve({ capacityBytes: capacityRange?.requiredBytes ?? 0n, nodeExpansionRequired: onNode }),
  };
  const kubeconfig = plane.kubeconfigWith(await tokenFor(plane, "holdfast", "holdfast-node", { node: "n1" }));
  const options = { firstWaitMs: 200 };
  const helper = startHelper(plane, "resizer", { socket: driver.socket, node: "n1", kubeconfig, options });
  const space = await makeSpace(plane, "users");
  const make = (name: string) => {
    const annotations = { "volume.kubernetes.io/selected-node": "n1" };
    return staticVolume(space, name, { driver: driverName, class: "holdfast", topology, annotations });
  };

  await t.test("without a node's part, again and again", async () => {
    await make("whole");
    for (const size of ["128Mi", "256Mi"]) {
      await space.resize("whole", size);
      await plane.until(`it has ${size}`, async () =>
        (await space.getClaim("whole")).status.capacity?.storage === size ? true : undefined,
      );
    }
    const { metadata, status } = await space.getClaim("whole");
    assert.equal(metadata.annotations?.["volume.kubernetes.io/node-expansion-not-required"], "true");
    assert.deepEqual(status.conditions ?? [], []);
  });

  await t.test("with a node's part", async () => {
    onNode = true;
    await make("parts");
    await space.resize("parts", "128Mi");
    await plane.until("the node's part is pending", async () =>
      (await space.getClaim("parts")).status.allocatedResourceStatuses?.["storage"] === "NodeResizePending"
        ? true
        : undefined,
    );
    assert.equal((await space.bound("parts")).spec.capacity.storage, "128Mi");
  });

  assert.equal(await helper.stop(), 0);
});
