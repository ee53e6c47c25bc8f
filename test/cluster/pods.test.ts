/** What pods see of their volumes, with what users deploy: the image, by the chart, on a real kubelet. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Claim, makeClass, makeSpace, type Volume } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startKubelet } from "../support/cluster/kubelet.ts";
import { deployChart } from "../support/cluster/release.ts";
import { loopDevicesOf } from "../support/leftovers.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";
import { stories } from "./stories.ts";

test("pods and their volumes", { concurrency: 3 }, async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs", { bytes: 64 * 1024 ** 3 });
  const plane = await startControlPlane(scratch);
  const kubelet = await startKubelet(plane);
  const { driverName: driver, client } = await deployChart(
    plane,
    [kubelet],
    [{ name: "p", backend: "image", path: disk.path }],
  );
  for (const kind of ["ext4", "xfs", "btrfs"]) {
    await makeClass(plane, kind, { driver, parameters: { "csi.storage.k8s.io/fstype": kind } });
  }
  await makeClass(plane, "kept", { driver, reclaim: "Retain" });

  const told = Object.entries(stories).map(([title, story], index) =>
    t.test(title, async () => story(await makeSpace(plane, `story-${index + 1}`))),
  );
  await Promise.all(told);

  await t.test("what was deleted is gone: no claim, no volume, no mount, no device", async () => {
    assert.deepEqual(await plane.api.list<Claim>("/api/v1/persistentvolumeclaims"), []);
    assert.deepEqual(await plane.api.list<Volume>("/api/v1/persistentvolumes"), []);
    assert.deepEqual((await client.controller.listVolumes({})).entries, []);
    const mounts = await kubelet.machine.run("sh", "-c", `grep -c ${kubelet.kubeletDir}.*csi /proc/mounts || true`);
    assert.equal(mounts, "0\n");
    const files = loopDevicesOf(scratch.path).map(({ file }) => file);
    assert.deepEqual(files, [disk.image]);
  });
});
