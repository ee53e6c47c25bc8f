/** `serve --kubernetes` beside a real kubelet: its registration, refused and repeated, and the inline volumes of pods. */
import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeDriverObject, makeSpace } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startKubelet } from "../support/cluster/kubelet.ts";
import { holdfast } from "../support/driver.ts";
import { loopDevicesOf } from "../support/leftovers.ts";
import { gib } from "../support/orchestrator.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const driverName = "local.csi.holdfast";
const topology = `${driverName}/node`;

/** An inline volume at /data, and a shell that sleeps. */
const inline = (attributes: Record<string, string>, fsType?: string) => ({
  volumes: [
    {
      name: "own",
      csi: { driver: driverName, volumeAttributes: attributes, ...(fsType === undefined ? {} : { fsType }) },
    },
  ],
  mounts: { "/data": "own" },
});

test("serve --kubernetes beside a kubelet", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs", { bytes: 16 * gib });
  const plane = await startControlPlane(scratch);
  // The kubelet refuses a driver whose topology contradicts the node's labels.
  const kubelet = await startKubelet(plane, { labels: { [topology]: "another" } });
  const { machine, kubeletDir, name: node } = kubelet;
  const config = join(machine.folder, "holdfast.yaml");
  writeFileSync(config, `kubernetes: { kubeconfig: ${plane.admin}, kubeletDir: ${kubeletDir}, namespace: holdfast }\n`);
  const args = ["serve", "--config", config, "--node-id", node, "--pool", `p=image:${disk.path}`, "--init-pools"];
  const driver = plane.watch(
    machine.start("driver", holdfast, [...args, "--log-format", "json"], { endBy: "SIGTERM" }),
  );
  await makeDriverObject(plane, driverName, { ephemeral: true });
  const registrations = () => driver.log().split("the kubelet has registered the driver").length - 1;
  const entry = async () => {
    const { spec } = await plane.api.get<{ spec: { drivers: { name: string; nodeID: string }[] | null } }>(
      `/apis/storage.k8s.io/v1/csinodes/${node}`,
    );
    return spec.drivers?.find(({ name }) => name === driverName);
  };
  const space = await makeSpace(plane, "inline");

  await t.test(
    "refused by the kubelet it says so, tries again, and is registered when the reason is gone",
    async () => {
      await plane.until("refused twice", () => driver.log().split("the kubelet refused").length > 2 || undefined);
      assert.equal(registrations(), 0);
      await plane.api.merge(`/api/v1/nodes/${node}`, { metadata: { labels: { [topology]: null } } });
      await plane.until("registered", async () => (await entry()) ?? undefined, { withinMs: 40_000 });
      assert.equal((await entry())?.nodeID, node);
      const { metadata } = await plane.api.get<{ metadata: { labels: Record<string, string> } }>(
        `/api/v1/nodes/${node}`,
      );
      assert.equal(metadata.labels[topology], node);
    },
  );

  await t.test("a pod's own volume: its size, its data, and gone with it", async () => {
    await space.pod("p", inline({ size: "512Mi" }, "xfs"));
    await space.running("p");
    assert.match(await space.sh("p", "grep ' /data ' /proc/mounts"), / xfs /);
    await space.sh("p", "echo kept >/data/file && sync");
    assert.equal(readdirSync(join(disk.path, "volumes")).length, 1);
    await space.removePod("p");
    assert.deepEqual(readdirSync(join(disk.path, "volumes")), []);
  });

  await t.test(
    "the driver is killed, and then away: pods go on, new ones wait, deleted ones leave nothing",
    async () => {
      for (const name of ["stays", "goes"]) await space.pod(name, inline({ size: "256Mi" }));
      await Promise.all(["stays", "goes"].map((name) => space.running(name)));
      await space.sh("stays", "echo kept >/data/file && sync");
      await driver.kill();
      await space.pod("comes", inline({ size: "256Mi" }));
      const removed = space.removePod("goes");
      await space.sh("stays", "echo more >>/data/file && sync");
      driver.start();
      await space.running("comes");
      await removed;
      assert.equal(await space.sh("stays", "cat /data/file"), "kept\nmore\n");
      assert.equal(await space.restarts("stays"), 0);
      assert.equal(readdirSync(join(disk.path, "volumes")).length, 2);
      await Promise.all(["stays", "comes"].map((name) => space.removePod(name)));
      assert.deepEqual(readdirSync(join(disk.path, "volumes")), []);
    },
  );

  await t.test(
    "the kubelet starts again: the driver is registered at the same socket, and a pod's volume goes with it",
    async () => {
      await space.pod("p", inline({ size: "256Mi" }));
      await space.running("p");
      const before = registrations();
      await kubelet.service.kill();
      kubelet.service.start();
      await plane.until("registered again", () => registrations() > before || undefined, { withinMs: 40_000 });
      await space.removePod("p");
      assert.deepEqual(readdirSync(join(disk.path, "volumes")), []);
    },
  );

  await t.test("what can't be is an event in our words, and leaves nothing", async () => {
    await space.pod("wrong", inline({ sise: "1Gi" }));
    await space.said(/there is no attribute 'sise': known are size, pool, fsType/, 40_000);
    await space.removePod("wrong");
    await space.pod("huge", inline({ size: "900Gi" }));
    await space.said(/do not fit into the pool 'p'/, 40_000);
    await space.removePod("huge");
    assert.deepEqual(readdirSync(join(disk.path, "volumes")), []);
  });

  assert.equal(await driver.stop(), 0);
  await plane.until("its entry is gone with its socket", async () =>
    (await entry()) === undefined ? true : undefined,
  );
  const files = loopDevicesOf(scratch.path).map(({ file }) => file);
  assert.deepEqual(files, [disk.image]);
});
