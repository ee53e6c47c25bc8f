/** What snapshots go through when something dies: at the end none is lost, none is made twice, and none is left without its objects. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeClass, makeDriverObject, makeSnapshotClass, makeSpace, type Space } from "../support/cluster/claims.ts";
import { type ControlPlane, startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { installDefinitions, registerNode } from "../support/cluster/objects.ts";
import { type ScriptedDriver, startScripted } from "../support/cluster/scripted-driver.ts";
import { staticVolume } from "../support/cluster/static-volume.ts";
import { startDriver } from "../support/driver.ts";
import { makePoolDisk } from "../support/pool-disk.ts";
import { scratchFor } from "../support/scratch.ts";

const crds = join(import.meta.dirname, "../../deploy/crds");
const contentsPath = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents";
const snapshotsOf = ({ name }: Space) => `/apis/snapshot.storage.k8s.io/v1/namespaces/${name}/volumesnapshots`;
const driverName = "store.example";

interface Named {
  readonly metadata: { readonly name: string; readonly finalizers?: readonly string[] };
  readonly status?: { readonly readyToUse?: boolean; readonly snapshotHandle?: string };
}

/** A driver that keeps what it made by name; `on` is called between what it does and its answer. */
function storeOf(driver: ScriptedDriver) {
  const snapshots = new Map<string, string>();
  const store = { snapshots, made: 0, on: async (_rpc: "create" | "delete") => undefined as undefined | Promise<void> };
  driver.answers = {
    createSnapshot: async ({ name, sourceVolumeId }) => {
      if (!snapshots.has(name)) {
        store.made++;
        snapshots.set(name, `snap-${store.made}`);
      }
      await store.on("create");
      const snapshotId = snapshots.get(name) ?? "";
      return { snapshot: { snapshotId, sourceVolumeId, readyToUse: true, sizeBytes: 64n << 20n } };
    },
    deleteSnapshot: async ({ snapshotId }) => {
      for (const [name, id] of snapshots) if (id === snapshotId) snapshots.delete(name);
      await store.on("delete");
      return {};
    },
  };
  return store;
}

async function nothingIsLeft(plane: ControlPlane, space: Space, store: ReturnType<typeof storeOf>): Promise<void> {
  await plane.until("no snapshots and no contents", async () => {
    const left = [...(await plane.api.list(snapshotsOf(space))), ...(await plane.api.list(contentsPath))];
    return left.length === 0 || undefined;
  });
  assert.equal(store.snapshots.size, 0, "nothing is left on the storage");
  await plane.until("the claim is free", async () => {
    const { finalizers } = (await space.getClaim("c")).metadata;
    return !JSON.stringify(finalizers).includes("as-source") || undefined;
  });
}

test("snapshots while things die", async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  const driver = await startScripted(scratch, { name: driverName, controller: ["CREATE_DELETE_SNAPSHOT"] });
  const store = storeOf(driver);
  await installDefinitions(plane, crds);
  await makeClass(plane, "any", { driver: "nobody.example" });
  await makeSnapshotClass(plane, "snap", driverName);
  const space = await makeSpace(plane, "faults");
  await staticVolume(space, "c", { driver: driverName, class: "any" });
  const options = { firstWaitMs: 100, longestWaitMs: 1000 };
  const snapshotter = startHelper(plane, "snapshotter", { socket: driver.socket, options });
  const controller = startHelper(plane, "snapshotController", { socket: driver.socket, options });

  await t.test(
    "the snapshotter is killed between the call and the object, at the cut and at the deletion",
    async () => {
      for (const rpc of ["create", "delete"] as const) {
        let killed = false;
        store.on = async (now) => {
          if (now !== rpc || killed) return;
          killed = true;
          await snapshotter.kill();
          snapshotter.start();
        };
        if (rpc === "create") {
          await space.snapshot("one", "c", "snap");
          const content = await plane.api.get<Named>(`${contentsPath}/${await space.snapshotReady("one")}`);
          assert.equal(content.status?.snapshotHandle, "snap-1");
          assert.equal(store.made, 1);
        } else await space.removeSnapshot("one");
        assert.ok(killed);
      }
      store.on = async () => undefined;
      await nothingIsLeft(plane, space, store);
    },
  );

  await t.test("the API server is away while the driver works, and comes back", async () => {
    const away = Promise.withResolvers<void>();
    const back = Promise.withResolvers<void>();
    store.on = async () => {
      away.resolve();
      await back.promise;
    };
    await space.snapshot("two", "c", "snap");
    await away.promise;
    await plane.apiServer.kill();
    back.resolve();
    await sleep(1500);
    await plane.startApiServer();
    await space.snapshotReady("two");
    assert.equal(store.snapshots.size, 1);
    store.on = async () => undefined;
    await space.removeSnapshot("two");
    await nothingIsLeft(plane, space, store);
  });

  await t.test(
    "two of each for a while, somebody who writes all the time, and kills: each is made once and goes",
    async () => {
      const names = Array.from({ length: 12 }, (_, index) => `many-${index}`);
      const before = store.made;
      const others = [
        startHelper(plane, "snapshotter", { socket: driver.socket, options, name: "snapshotter-2" }),
        startHelper(plane, "snapshotController", { socket: driver.socket, options, name: "snapshotController-2" }),
      ];
      let meddling = true;
      const meddler = (async () => {
        for (let round = 0; meddling; round++) {
          const objects = [
            ...(await plane.api.list<Named>(contentsPath)).map(({ metadata }) => `${contentsPath}/${metadata.name}`),
            ...(await plane.api.list<Named>(snapshotsOf(space))).map(
              ({ metadata }) => `${snapshotsOf(space)}/${metadata.name}`,
            ),
          ];
          for (const path of objects) {
            await plane.api.merge(path, { metadata: { labels: { round: `${round}` } } }).catch(() => undefined);
          }
          await sleep(20);
        }
      })();
      for (const name of names) await space.snapshot(name, "c", "snap");
      await controller.kill();
      controller.start();
      await snapshotter.kill();
      snapshotter.start();
      for (const name of names) await space.snapshotReady(name);
      assert.equal(store.made - before, names.length);
      assert.equal((await plane.api.list(contentsPath)).length, names.length);
      for (const name of names) await plane.api.remove(`${snapshotsOf(space)}/${name}`);
      await controller.kill();
      controller.start();
      await nothingIsLeft(plane, space, store);
      meddling = false;
      await meddler;
      for (const other of others) await other.stop();
    },
  );

  await t.test("a snapshot that lost its content says so, and takes no other", async () => {
    await space.snapshot("lost", "c", "snap");
    const name = await space.snapshotReady("lost");
    const calls = driver.calls.length;
    // More than once: a content without its finalizer is given it again, also between the two calls.
    await plane.until("its content is gone", async () => {
      const path = `${contentsPath}/${name}`;
      await plane.api.merge(path, { metadata: { finalizers: null } }).catch(() => undefined);
      await plane.api.remove(path);
      return (await plane.api.find(path)) === undefined || undefined;
    });
    await plane.until("it says so", async () => {
      const lost = await plane.api.get<Named>(`${snapshotsOf(space)}/lost`);
      return (
        (JSON.stringify(lost.status).includes("does not exist any more") && lost.status?.readyToUse === false) ||
        undefined
      );
    });
    await sleep(1500);
    assert.equal(await plane.api.find(`${contentsPath}/${name}`), undefined);
    assert.equal(driver.calls.length, calls, "the driver was not asked");
    store.snapshots.clear();
    await plane.api.remove(`${snapshotsOf(space)}/lost`);
    await nothingIsLeft(plane, space, store);
  });
});

test("a content with the wrong node's label keeps its snapshot", async (t) => {
  const scratch = scratchFor(t);
  const disks = [await makePoolDisk(scratch, "xfs"), await makePoolDisk(scratch, "xfs")];
  const plane = await startControlPlane(scratch);
  await installDefinitions(plane, crds);
  const name = "local.csi.holdfast";
  await makeDriverObject(plane, name);
  await makeClass(plane, "fast", { driver: name });
  await makeSnapshotClass(plane, "snap", name);
  const drivers = await Promise.all(
    disks.map(async (disk, index) => {
      const node = `n${index + 1}`;
      const driver = await startDriver(scratch, { pools: [`p=image:${disk.path}`], nodeId: node });
      await registerNode(plane, node, driver.client);
      startHelper(plane, "provisioner", { socket: driver.socket, node, name: `provisioner-${node}` });
      const options = { firstWaitMs: 100, longestWaitMs: 500 };
      startHelper(plane, "snapshotter", { socket: driver.socket, node, options, name: `snapshotter-${node}` });
      return driver;
    }),
  );
  const [first] = drivers;
  assert.ok(first);
  startHelper(plane, "snapshotController", { socket: first.socket });
  const space = await makeSpace(plane, "wrong");
  await space.claim("data", { class: "fast", selectedNode: "n1" });
  await space.bound("data");
  await space.snapshot("one", "data", "snap");
  const content = await space.snapshotReady("one");
  const label = (node: string) =>
    plane.api.merge(`${contentsPath}/${content}`, {
      metadata: { labels: { "snapshot.storage.kubernetes.io/managed-by": node } },
    });
  await label("n2");
  await plane.api.remove(`${snapshotsOf(space)}/one`);
  await plane.until("the other node's driver refused", async () =>
    (await plane.api.list<{ reason: string }>("/api/v1/events")).find(({ reason }) => reason === "SnapshotDeleteError"),
  );
  await sleep(1000);
  assert.ok(await plane.api.find(`${contentsPath}/${content}`), "the content stays");
  assert.equal((await first.client.controller.listSnapshots({})).entries.length, 1);
  await label("n1");
  await space.gone("the content", `${contentsPath}/${content}`);
  assert.equal((await first.client.controller.listSnapshots({})).entries.length, 0);
});
