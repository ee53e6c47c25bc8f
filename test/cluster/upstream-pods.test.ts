/** The classic shape on a real kubelet: our driver with the upstream sidecars, unchanged. */
import { test } from "node:test";
import { makeClass, makeSpace } from "../support/cluster/claims.ts";
import { deployClassic } from "../support/cluster/classic.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startKubelet } from "../support/cluster/kubelet.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";
import { stories } from "./stories.ts";

/** Those in which the sidecars have a part; the others would only try the kubelet and the driver again. */
const theirs = /snapshot|xfs grows|raw device grows|retained/;

test("upstream sidecars: pods and their volumes", { concurrency: 4 }, async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const plane = await startControlPlane(scratch);
  const kubelet = await startKubelet(plane);
  const { driverName: driver } = await deployClassic(plane, kubelet, [`p=image:${disk.path}`]);
  for (const kind of ["ext4", "xfs"]) {
    await makeClass(plane, kind, { driver, parameters: { "csi.storage.k8s.io/fstype": kind } });
  }
  await makeClass(plane, "kept", { driver, reclaim: "Retain" });
  const told = Object.entries(stories)
    .filter(([title]) => theirs.test(title))
    .map(([title, story], index) => t.test(title, async () => story(await makeSpace(plane, `story-${index + 1}`))));
  await Promise.all(told);
});
