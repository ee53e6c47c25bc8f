/** A pool that two nodes share, on two kubelets: attached by the controller's helpers, moved with its pods. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeClass, makeSpace, podSpec } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startKubelet } from "../support/cluster/kubelet.ts";
import { deployChart } from "../support/cluster/release.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

interface Attachment {
  readonly spec: { readonly nodeName: string };
  readonly status: { readonly attached: boolean };
}

test("shared pools: volumes go where their pods go", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const plane = await startControlPlane(scratch);
  const kubelets = await Promise.all([startKubelet(plane, { name: "n1" }), startKubelet(plane, { name: "n2" })]);
  const pool = { name: "p", backend: "image", path: disk.path, shared: true };
  const { driverName: driver } = await deployChart(plane, kubelets, [pool]);
  await makeClass(plane, "xfs", { driver, binding: "Immediate", parameters: { "csi.storage.k8s.io/fstype": "xfs" } });
  const space = await makeSpace(plane, "shared");
  const attachments = async () => {
    const all = await plane.api.list<Attachment>("/apis/storage.k8s.io/v1/volumeattachments");
    return all.map(({ spec, status }) => `${spec.nodeName} ${status.attached ? "attached" : "not yet"}`);
  };

  await t.test("a claim that waits for no pod is bound at once, on no node in particular", async () => {
    await space.claim("c", { class: "xfs", size: "512Mi" });
    assert.equal((await space.bound("c")).spec.nodeAffinity, undefined);
  });

  await t.test("a pod on one node writes, a pod on the other finds it", async () => {
    await space.pod("one", { claims: { "/data": "c" }, node: "n1" });
    await space.running("one");
    await space.sh("one", "echo first >/data/file && sync");
    assert.deepEqual(await attachments(), ["n1 attached"]);
    await space.removePod("one");
    await space.pod("two", { claims: { "/data": "c" }, node: "n2" });
    await space.running("two");
    assert.equal(await space.sh("two", "cat /data/file"), "first\n");
    assert.deepEqual(await attachments(), ["n2 attached"]);
  });

  await t.test("while one node has it, no other gets it", async () => {
    await space.pod("three", { claims: { "/data": "c" }, node: "n1" });
    await space.said(/Pod\/three .*Multi-Attach/);
    assert.deepEqual(await attachments(), ["n2 attached"]);
    await space.sh("two", "echo second >>/data/file && sync");
    await space.removePod("two");
    await space.running("three");
    assert.equal(await space.sh("three", "cat /data/file"), "first\nsecond\n");
  });

  await t.test(
    "it grows while its pod writes, and is snapshotted and cloned meanwhile for the other node",
    async () => {
      await space.resize("c", "1Gi");
      await space.grown("c", "1Gi");
      assert.ok(Number(await space.sh("three", "df -m /data | awk 'END { print $2 }'")) > 800);
      // Only the node that has it mounted can hold it still: wherever the controller is, that node cuts.
      await space.snapshot("s", "c", "snap");
      await space.snapshotReady("s");
      await space.claim("cloned", { class: "xfs", size: "1Gi", fromClaim: "c" });
      await space.sh("three", "echo third >>/data/file && sync");
      await space.claim("restored", { class: "xfs", size: "1Gi", fromSnapshot: "s" });
      for (const name of ["restored", "cloned"]) {
        await space.pod(`reader-${name}`, { claims: { "/data": name }, node: "n2" });
        await space.running(`reader-${name}`);
        const read = await space.sh(`reader-${name}`, "cat /data/file");
        // The clone is made while the third line is written.
        assert.match(read, name === "restored" ? /^first\nsecond\n$/ : /^first\nsecond\n/);
        await space.removePod(`reader-${name}`);
      }
      await space.removePod("three");
      await space.removeSnapshot("s");
      for (const name of ["restored", "cloned"]) await space.removeClaim(name);
    },
  );

  await t.test("a drained node's pod goes to the other node, with its data", async () => {
    const labels = { app: "moved" };
    await plane.apply({
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name: "moved", namespace: "shared" },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: podSpec({ claims: { "/data": "c" } }) },
      },
    });
    await space.running("moved-0");
    type Pod = { spec: { nodeName: string } };
    const where = async () => (await plane.api.get<Pod>("/api/v1/namespaces/shared/pods/moved-0")).spec.nodeName;
    const before = await where();
    await plane.kubectl("drain", before, "--ignore-daemonsets", "--force", "--delete-emptydir-data", "--timeout=60s");
    await plane.until("it runs on the other node", async () => {
      const now = await where();
      return now !== "" && now !== undefined && now !== before ? now : undefined;
    });
    await space.running("moved-0", 90_000);
    assert.match(await space.sh("moved-0", "cat /data/file"), /^first\nsecond\n/);
    await plane.kubectl("uncordon", before);
    await plane.kubectl("delete", "statefulset", "--namespace=shared", "moved");
    await space.removePod("moved-0");
    await space.removeClaim("c");
  });

  await t.test("nothing is left: no volume, no attachment", async () => {
    assert.deepEqual(readdirSync(join(disk.path, "volumes")), []);
    assert.deepEqual(readdirSync(join(disk.path, "snapshots")), []);
    assert.deepEqual(await attachments(), []);
  });
});
