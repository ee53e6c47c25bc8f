/** The driver with its helpers in one process, and each helper as a command of its own. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeClass, makeDriverObject, makeSpace } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHoldfast } from "../support/cluster/holdfast.ts";
import { registerNode } from "../support/cluster/objects.ts";
import { startDriver } from "../support/driver.ts";
import { TestKubelet } from "../support/kubelet-plugins.ts";
import { gib, refused } from "../support/orchestrator.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const driverName = "local.csi.holdfast";

test("serve --kubernetes on a node: registered, claims bound and grown, over crashes and without the API server", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs");
  const kubeletDir = join(scratch.path, "kubelet");
  const registry = join(kubeletDir, "plugins_registry");
  mkdirSync(registry, { recursive: true });
  const kubelet = new TestKubelet(registry);
  scratch.later(() => kubelet.stop());
  const plane = await startControlPlane(scratch);
  const config = join(scratch.path, "holdfast.yaml");
  writeFileSync(config, `kubernetes: { kubeconfig: ${plane.admin}, kubeletDir: ${kubeletDir} }\n`);
  const driver = await startDriver(scratch, {
    pools: [`p=image:${disk.path}`],
    nodeId: "n1",
    args: ["--config", config],
  });
  await makeDriverObject(plane, driverName);
  await registerNode(plane, "n1", driver.client);
  await makeClass(plane, "fast", { driver: driverName });
  const space = await makeSpace(plane, "mine");
  const volumes = async () => (await driver.client.controller.listVolumes({})).entries.length;

  await t.test("the kubelet has registered it", async () => {
    await plane.until("registered", () => kubelet.events.at(-1) === `registered ${driverName}` || undefined);
  });

  await t.test("a claim is bound, grows, and goes with its volume", async () => {
    await space.claim("data", { class: "fast", selectedNode: "n1" });
    await space.bound("data");
    assert.equal(await volumes(), 1);
    await space.removeClaim("data");
    assert.equal(await volumes(), 0);
  });

  await t.test("killed while claims wait, all are bound and nothing is made twice", async () => {
    const names = Array.from({ length: 6 }, (_, index) => `killed-${index}`);
    for (const name of names) await space.claim(name, { class: "fast", selectedNode: "n1" });
    await driver.crash();
    for (const name of names) await space.bound(name);
    assert.equal(await volumes(), names.length);
    for (const name of names) await space.removeClaim(name);
    assert.equal(await volumes(), 0);
    // What was cut short while it was written is swept later.
    const intents = readdirSync(join(kubeletDir, "plugins", `${driverName}-state`, "intents"));
    assert.deepEqual(
      intents.filter((name) => !name.startsWith(".")),
      [],
    );
  });

  await t.test("it starts, serves and stops without the API server, and works when that is back", async () => {
    await plane.apiServer.kill();
    await driver.crash();
    assert.equal((await driver.client.identity.probe({})).ready, true);
    assert.equal(await driver.stop(), 0);
    await driver.start();
    await plane.startApiServer();
    await space.claim("after", { class: "fast", selectedNode: "n1" });
    await space.bound("after");
    await space.removeClaim("after");
  });

  assert.equal(await driver.stop(), 0);
  assert.equal(existsSync(join(registry, `${driverName}-reg.sock`)), false);
});

test("each helper as a command of its own, under a Lease", async (t) => {
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
  const common = ["--csi-address", driver.socket, "--kubeconfig", plane.admin, "--leader-election"];
  const helpers = ["provisioner", "attacher", "resizer", "snapshotter"].map((name) =>
    startHoldfast(
      plane,
      [
        name,
        ...common,
        "--leader-election-namespace",
        "mine",
        ...(name === "provisioner" ? ["--enable-capacity"] : []),
      ],
      { name },
    ),
  );
  const leaseNames = async () => {
    const path = "/apis/coordination.k8s.io/v1/namespaces/mine/leases";
    const leases = await plane.api.list<{ metadata: { name: string } }>(path);
    return leases.map(({ metadata }) => metadata.name).sort();
  };
  await space.claim("data", { class: "fast", selectedNode: "n1" });
  await space.bound("data");
  await plane.until("every helper leads", async () => (await leaseNames()).length === 4 || undefined);
  // The upstream helpers' names: one of theirs and one of ours never work at the same time.
  assert.deepEqual(await leaseNames(), [
    "external-attacher-leader-local-csi-holdfast",
    "external-resizer-local-csi-holdfast",
    "external-snapshotter-leader-local-csi-holdfast",
    "local-csi-holdfast",
  ]);
  const capacities = "/apis/storage.k8s.io/v1/namespaces/mine/csistoragecapacities";
  await plane.until("capacity is told", async () => (await plane.api.list(capacities)).length > 0 || undefined);
  await space.removeClaim("data");
  for (const helper of helpers) assert.equal(await helper.stop(), 0);
});

test("serve --kubernetes=controller beside two nodes: Immediate claims get one with room, and pods go by capacity", async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  await makeDriverObject(plane, driverName);
  await makeClass(plane, "now", { driver: driverName, binding: "Immediate" });
  const drivers = [];
  for (const [node, size] of [
    ["n1", "64Mi"],
    ["n2", "8Gi"],
  ] as const) {
    const disk = await makePoolDisk(scratch, "xfs", { bytes: 16 * gib });
    const kubeletDir = join(scratch.path, node);
    mkdirSync(join(kubeletDir, "plugins_registry"), { recursive: true });
    const config = join(scratch.path, `${node}.yaml`);
    writeFileSync(config, `kubernetes: { kubeconfig: ${plane.admin}, kubeletDir: ${kubeletDir}, namespace: mine }\n`);
    const pools = [`p=image:${disk.path},size=${size}`];
    drivers.push(await startDriver(scratch, { pools, nodeId: node, args: ["--config", config] }));
  }
  const space = await makeSpace(plane, "mine");
  for (const [index, driver] of drivers.entries()) await registerNode(plane, `n${index + 1}`, driver.client);
  const controller = startHoldfast(
    plane,
    ["serve", "--kubernetes=controller", "--kubeconfig", plane.admin, "--config", join(scratch.path, "n1.yaml")],
    { name: "controller" },
  );
  const capacities = () =>
    plane.api.list<{ capacity?: string }>("/apis/storage.k8s.io/v1/namespaces/mine/csistoragecapacities");
  await plane.until("both nodes tell what they have", async () => (await capacities()).length === 2 || undefined);
  for (const name of ["a", "b", "c"]) {
    await space.claim(name, { class: "now", size: "256Mi" });
    await space.bound(name);
  }
  const counts = await Promise.all(
    drivers.map(async ({ client }) => (await client.controller.listVolumes({})).entries.length),
  );
  assert.deepEqual(counts, [0, 3]);
  for (const name of ["a", "b", "c"]) await space.removeClaim(name);
  assert.equal(await controller.stop(), 0);
});

test("a shared pool: the controller makes and attaches under its Lease, the node only registers", async (t) => {
  const scratch = scratchFor(t);
  const disk = await makePoolDisk(scratch, "xfs", { bytes: 16 * gib });
  const pool = `s=image:${disk.path}/s,shared`;
  const shared = "shared.csi.holdfast";
  const plane = await startControlPlane(scratch);
  const registry = join(scratch.path, "kubelet/plugins_registry");
  mkdirSync(registry, { recursive: true });
  const kubelet = new TestKubelet(registry);
  scratch.later(() => kubelet.stop());
  const config = join(scratch.path, "holdfast.yaml");
  const kubeletDir = join(scratch.path, "kubelet");
  writeFileSync(config, `kubernetes: { kubeconfig: ${plane.admin}, kubeletDir: ${kubeletDir}, namespace: mine }\n`);
  const space = await makeSpace(plane, "mine");
  await makeDriverObject(plane, shared, { attach: true });
  const node = await startDriver(scratch, { pools: [pool], nodeId: "n1", args: ["--config", config] });
  await registerNode(plane, "n1", node.client);
  await makeClass(plane, "shared", { driver: shared, binding: "Immediate" });
  const controller = await startDriver(scratch, {
    pools: [pool],
    nodeId: "c1",
    args: ["--config", config, "--kubernetes=controller"],
  });
  await plane.until("registered", () => kubelet.events.at(-1) === `registered ${shared}` || undefined);
  await space.claim("data", { class: "shared" });
  await space.bound("data");
  const { entries } = await controller.client.controller.listVolumes({});
  assert.equal(entries.length, 1);
  await refused(node.client.controller.listVolumes({}), "UNIMPLEMENTED");
  const attachment = await plane.api.create<{ metadata: { name: string } }>(
    "/apis/storage.k8s.io/v1/volumeattachments",
    {
      metadata: { name: "data-on-n1" },
      spec: {
        attacher: shared,
        nodeName: "n1",
        source: { persistentVolumeName: (await space.bound("data")).metadata.name },
      },
    },
  );
  const path = `/apis/storage.k8s.io/v1/volumeattachments/${attachment.metadata.name}`;
  await plane.until("attached", async () => {
    const { status } = await plane.api.get<{ status?: { attached: boolean } }>(path);
    return status?.attached || undefined;
  });
  await plane.api.remove(path);
  await plane.until("detached", async () => ((await plane.api.find(path)) === undefined ? true : undefined));
  await space.removeClaim("data");
  assert.equal((await controller.client.controller.listVolumes({})).entries.length, 0);
  assert.equal(await controller.stop(), 0);
});
