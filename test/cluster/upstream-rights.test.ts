/** The upstream sidecars as the chart starts them, with its roles and policies and no more: local pools, two nodes. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { renderChart } from "../support/cluster/chart.ts";
import { makeSpace, type Volume } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { ensure, installDefinitions, registerNode, tokenFor } from "../support/cluster/objects.ts";
import { type Sidecar, snapshotDefinitions, startUpstream } from "../support/cluster/upstream.ts";
import { type Driver, startDriver } from "../support/driver.ts";
import { takeVolume } from "../support/orchestrator.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const names = ["n1", "n2"] as const;
const mib = 1024 ** 2;

interface Workload {
  readonly kind: string;
  readonly spec: { readonly template: { readonly spec: { readonly containers: { name: string; args: string[] }[] } } };
}

test("upstream sidecars with the rights of the chart and no more", async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  await installDefinitions(plane, snapshotDefinitions);
  await ensure(plane.api, "/api/v1/namespaces", "holdfast");
  const storageClasses = [{ name: "holdfast", fsType: "xfs" }];
  const text = await renderChart({ sidecars: "upstream", "snapshots.enabled": true, storageClasses });
  await plane.apply(text);
  const workloads = parseAllDocuments(text).map((document) => document.toJS() as Workload);
  /** Without the socket's path, which is another here. */
  const argsOf = (kind: string, container: string): string[] => {
    const { spec } = workloads.find((each) => each?.kind === kind) as Workload;
    const { args } = spec.template.spec.containers.find(({ name }) => name === container) ?? { args: [] };
    assert.ok(args.length > 0, `${kind} has no ${container}`);
    return args.filter((arg) => !arg.startsWith("--csi-address="));
  };

  const config = join(scratch.path, "driver.yaml");
  writeFileSync(config, "controllerExpansion: false\n");
  const drivers: Record<string, Driver> = {};
  for (const node of names) {
    const disk = await makePoolDisk(scratch, "xfs");
    const args = ["--config", config];
    const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`], nodeId: node, args });
    drivers[node] = driver;
    await registerNode(plane, node, driver.client);
    await plane.api.merge(`/api/v1/nodes/${node}`, { metadata: { labels: { "kubernetes.io/os": "linux" } } });
    const pod = await plane.until("the DaemonSet has a pod there", async () => {
      type Pod = { metadata: { name: string; ownerReferences?: unknown }; spec: object };
      const pods = await plane.api.list<Pod>("/api/v1/namespaces/holdfast/pods");
      const its = pods.find(
        ({ metadata, spec }) => metadata.ownerReferences && JSON.stringify(spec).includes(`"${node}"`),
      );
      return its?.metadata.name;
    });
    const sidecars: Partial<Record<Sidecar, string[]>> = {};
    for (const name of ["provisioner", "snapshotter"] as const) sidecars[name] = argsOf("DaemonSet", name);
    await startUpstream(plane, {
      socket: driver.socket,
      kubeconfig: plane.kubeconfigWith(await tokenFor(plane, "holdfast", "holdfast-node", { node })),
      env: { NODE_NAME: node, NAMESPACE: "holdfast", POD_NAME: pod },
      prefix: node,
      sidecars,
    });
  }
  const { n1, n2 } = drivers as { n1: Driver; n2: Driver };
  await startUpstream(plane, {
    socket: n2.socket,
    kubeconfig: plane.kubeconfigWith(await tokenFor(plane, "holdfast", "holdfast-controller", { node: "n2" })),
    sidecars: { resizer: [...argsOf("StatefulSet", "resizer"), "--leader-election-namespace=holdfast"] },
  });
  const controller = ["--enable-distributed-snapshotting"];
  await startUpstream(plane, { socket: n1.socket, sidecars: { snapshotController: controller } });
  const space = await makeSpace(plane, "users");
  const volumes = async (driver: Driver) => (await driver.client.controller.listVolumes({})).entries.length;
  const nodeOf = ({ spec }: Volume) => /"values":\["(n\d)"\]/.exec(JSON.stringify(spec.nodeAffinity))?.[1];

  await t.test("claims are bound where they selected", async () => {
    for (const node of names) await space.claim(`on-${node}`, { class: "holdfast", size: "300Mi", selectedNode: node });
    for (const node of names) assert.equal(nodeOf(await space.bound(`on-${node}`)), node);
    assert.deepEqual([await volumes(n1), await volumes(n2)], [1, 1]);
  });

  await t.test("each node tells its own capacity", async () => {
    type Capacity = { nodeTopology: { matchLabels: Record<string, string> } };
    await plane.until("both do", async () => {
      const all = await plane.api.list<Capacity>("/apis/storage.k8s.io/v1/namespaces/holdfast/csistoragecapacities");
      const told = new Set(all.map(({ nodeTopology }) => Object.values(nodeTopology.matchLabels)[0]));
      return told.size === 2 ? true : undefined;
    });
  });

  await t.test("a snapshot and its restore", async () => {
    await space.snapshot("cut", "on-n1", "holdfast");
    await space.snapshotReady("cut");
    await space.claim("restored", { class: "holdfast", size: "300Mi", selectedNode: "n1", fromSnapshot: "cut" });
    assert.equal(nodeOf(await space.bound("restored")), "n1");
  });

  await t.test("a claim grows: the resizer marks it, and the node's call does all of it", async () => {
    const { spec } = await space.bound("on-n1");
    const volumeId = spec.csi?.volumeHandle ?? "";
    const { volume } = await n1.client.controller.controllerGetVolume({ volumeId });
    assert.ok(volume);
    const place = await takeVolume(scratch, n1, volume, { use: "xfs" });
    await space.resize("on-n1", "512Mi");
    await plane.until("the volume's object says so", async () => {
      const { spec } = await space.bound("on-n1");
      return spec.capacity.storage === "512Mi" || undefined;
    });
    const grown = await n1.client.node.nodeExpandVolume({
      volumeId,
      volumePath: place.target,
      stagingTargetPath: place.staging,
      capacityRange: { requiredBytes: BigInt(512 * mib) },
    });
    assert.equal(grown.capacityBytes, BigInt(512 * mib));
    await place.release();
  });

  await t.test("all of it goes when it is deleted", async () => {
    await space.removeClaim("restored");
    await space.removeSnapshot("cut");
    for (const node of names) await space.removeClaim(`on-${node}`);
    assert.deepEqual([await volumes(n1), await volumes(n2)], [0, 0]);
  });
});
