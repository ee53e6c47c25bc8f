/** The provisioner killed at every step, cut off, contradicted and doubled: in the end no volume without an object, no object without a volume. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Problem } from "../../src/pools/problem.ts";
import { startApiProxy } from "../support/cluster/api-proxy.ts";
import { makeClass, makeSpace, type Volume } from "../support/cluster/claims.ts";
import { startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { installDefinitions, makeNode } from "../support/cluster/objects.ts";
import { startScripted } from "../support/cluster/scripted-driver.ts";
import { snapshotDefinitions } from "../support/cluster/upstream.ts";
import { scratchFor } from "../support/scratch.ts";

const volumesPath = "/api/v1/persistentvolumes";

test("the provisioner, whatever happens", { timeout: 170_000 }, async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch, { kcmArgs: ["--kube-api-qps=300", "--kube-api-burst=600"] });
  await installDefinitions(plane, snapshotDefinitions);
  const driver = await startScripted(scratch, {
    name: "d.example",
    controller: ["CREATE_DELETE_VOLUME", "LIST_VOLUMES", "CLONE_VOLUME", "PUBLISH_UNPUBLISH_VOLUME"],
    plugin: ["CONTROLLER_SERVICE", "VOLUME_ACCESSIBILITY_CONSTRAINTS"],
    topology: { "d.example/node": "n1" },
  });
  await makeNode(plane, "n1", {
    labels: { "d.example/node": "n1" },
    drivers: [{ name: driver.name, topologyKeys: ["d.example/node"] }],
  });
  await makeClass(plane, "c", { driver: driver.name });
  const proxy = await startApiProxy(plane);
  const space = await makeSpace(plane, "faults");
  const intentsFolder = `${scratch.path}/intents`;
  const common = { socket: driver.socket, node: "n1", kubeconfig: proxy.kubeconfig };
  const options = { firstWaitMs: 50, longestWaitMs: 500, timeoutMs: 400, intentsFolder };
  const helper = startHelper(plane, "provisioner", { ...common, options: { ...options, reportEveryMs: 500 } });

  /** By name: the ID of each volume that there is. A deleted name gets another ID. */
  const made = new Map<string, string>();
  let ids = 0;
  const createVolume: NonNullable<typeof driver.answers.createVolume> = (request) => {
    const volumeId = made.get(request.name) ?? `id-${++ids}`;
    made.set(request.name, volumeId);
    return Promise.resolve({
      volume: {
        volumeId,
        capacityBytes: request.capacityRange?.requiredBytes ?? 0n,
        ...(request.volumeContentSource && { contentSource: request.volumeContentSource }),
        accessibleTopology: [{ segments: { "d.example/node": "n1" } }],
      },
    });
  };
  const deleteVolume: NonNullable<typeof driver.answers.deleteVolume> = ({ volumeId }) => {
    for (const [name, id] of made) if (id === volumeId) made.delete(name);
    return Promise.resolve({});
  };
  const listVolumes: NonNullable<typeof driver.answers.listVolumes> = () =>
    Promise.resolve({ entries: [...made.values()].map((volumeId) => ({ volume: { volumeId } })) });
  const usual = { createVolume, deleteVolume, listVolumes };
  const quiet = () => {
    proxy.before = undefined;
    proxy.after = undefined;
    driver.answers = usual;
  };
  quiet();
  const claim = (name: string) => space.claim(name, { class: "c", selectedNode: "n1" });
  const claimPath = (name: string) => `/api/v1/namespaces/faults/persistentvolumeclaims/${name}`;
  const asked = (rpc: string) => driver.calls.filter((call) => call.rpc === rpc).length;
  /** Each volume has its object and each object its volume; nothing is under way. */
  const whole = () =>
    plane.until("each volume has its object and each object its volume", async () => {
      const objects = await plane.api.list<Volume>(volumesPath);
      const handles = objects.map(({ spec }) => spec.csi?.volumeHandle ?? "").sort();
      const begun = readdirSync(intentsFolder).filter((file) => !file.startsWith("."));
      const same = JSON.stringify(handles) === JSON.stringify([...made.values()].sort());
      return same && begun.length === 0 ? true : undefined;
    });

  await t.test("a claim is one write, and a deletion two", async () => {
    const from = proxy.writes.length;
    const writes = () =>
      proxy.writes
        .slice(from)
        .filter(({ path }) => !path.includes("/events"))
        .map(({ method, path }) => `${method} ${path.split("/").at(3)}`);
    await claim("plain");
    await space.bound("plain");
    assert.deepEqual(writes(), ["POST persistentvolumes"]);
    await space.removeClaim("plain");
    assert.deepEqual(writes().slice(1), ["DELETE persistentvolumes", "PATCH persistentvolumes"]);
    await whole();
  });

  for (const moment of ["before", "after"] as const) {
    for (const method of ["POST", "DELETE", "PATCH"]) {
      await t.test(
        `killed ${moment} ${method === "POST" ? "it writes" : `the ${method} that removes`} a volume's object`,
        async () => {
          const name = `killed-${moment}-${method.toLowerCase()}`;
          const killed = Promise.withResolvers<void>();
          proxy[moment] = async (passing) => {
            if (passing.method !== method || !passing.path.startsWith(volumesPath)) return undefined;
            await helper.kill();
            killed.resolve();
            return moment === "before" ? { status: 503, reason: "Gone" } : undefined;
          };
          await claim(name);
          if (method !== "POST") {
            await space.bound(name);
            await plane.api.remove(claimPath(name));
          }
          await killed.promise;
          quiet();
          helper.start();
          if (method === "POST") {
            await space.bound(name);
            await space.removeClaim(name);
          }
          await whole();
          assert.equal(made.size, 0);
        },
      );
    }
  }

  await t.test("killed while the driver makes the volume, and the claim deleted meanwhile", async () => {
    const killed = Promise.withResolvers<void>();
    driver.answers = {
      ...usual,
      async createVolume(request, call) {
        const answer = await createVolume(request, call);
        await helper.kill();
        killed.resolve();
        return answer;
      },
    };
    await claim("gone");
    await killed.promise;
    await space.removeClaim("gone");
    assert.equal(made.size, 1);
    quiet();
    helper.start();
    await whole();
    assert.equal(made.size, 0);
  });

  await t.test("a driver that takes long is asked the same again, and the claim gets what it made", async () => {
    const from = driver.calls.length;
    let calls = 0;
    driver.answers = {
      ...usual,
      async createVolume(request, call) {
        calls += 1;
        if (calls < 4) await sleep(600);
        return createVolume(request, call);
      },
    };
    await claim("slow");
    await space.bound("slow");
    const requests = driver.calls
      .slice(from)
      .filter(({ rpc }) => rpc === "createVolume")
      .map(({ request }) => JSON.stringify(request, noBigint));
    assert.ok(requests.length >= 2);
    assert.equal(new Set(requests).size, 1);
    quiet();
    await space.removeClaim("slow");
    await whole();
  });

  await t.test("the claim is deleted while the driver takes long: what it made in the end is deleted", async () => {
    const begun = Promise.withResolvers<void>();
    let late = true;
    driver.answers = {
      ...usual,
      async createVolume(request, call) {
        const answer = createVolume(request, call);
        begun.resolve();
        if (late) await sleep(600);
        return answer;
      },
    };
    await claim("left");
    await begun.promise;
    await space.removeClaim("left");
    late = false;
    await whole();
    assert.equal(made.size, 0);
    quiet();
  });

  await t.test("the object can't be written for a while: the volume is made once", async () => {
    const from = asked("createVolume");
    let refused = 0;
    proxy.before = ({ method, path }) =>
      Promise.resolve(
        method === "POST" && path === volumesPath && ++refused <= 3
          ? { status: 500, reason: "InternalError" }
          : undefined,
      );
    await claim("refused");
    await space.bound("refused");
    assert.equal(made.size, 1);
    assert.ok(asked("createVolume") - from <= 4);
    quiet();
    await space.removeClaim("refused");
    await whole();
  });

  await t.test("the watches end, and what they missed is seen", async () => {
    proxy.before = ({ watch }) => Promise.resolve(watch ? { status: 500, reason: "InternalError" } : undefined);
    proxy.cutWatches();
    await claim("unseen");
    await sleep(300);
    quiet();
    await space.bound("unseen");
    await space.removeClaim("unseen");
    await whole();
  });

  await t.test("stale: a volume that is not released any more is not deleted", async () => {
    await claim("kept");
    const { metadata } = await space.bound("kept");
    const from = asked("deleteVolume");
    // The watch tells of the release; before the deletion is asked for, an administrator keeps the volume.
    proxy.before = async ({ method, path }) => {
      if (method !== "GET" || !path.endsWith(metadata.name)) return undefined;
      proxy.before = undefined;
      await plane.api.merge(`${volumesPath}/${metadata.name}`, { spec: { persistentVolumeReclaimPolicy: "Retain" } });
      return undefined;
    };
    await plane.api.remove(claimPath("kept"));
    await plane.until("it is the administrator's", async () => {
      const { metadata: now } = await plane.api.get<Volume>(`${volumesPath}/${metadata.name}`);
      return now.finalizers?.some((each) => each.startsWith("external-provisioner")) ? undefined : true;
    });
    assert.equal(asked("deleteVolume"), from);
    assert.equal(made.size, 1);
    await plane.api.remove(`${volumesPath}/${metadata.name}`);
    made.clear();
    await whole();
  });

  await t.test("a volume that is attached is not deleted", async () => {
    await claim("attached");
    const { metadata } = await space.bound("attached");
    const attachments = "/apis/storage.k8s.io/v1/volumeattachments";
    const spec = { attacher: driver.name, nodeName: "n1", source: { persistentVolumeName: metadata.name } };
    await plane.api.create(attachments, { metadata: { name: "a" }, spec });
    await plane.api.remove(claimPath("attached"));
    await plane.until("it is told", async () => {
      const events = await plane.api.list<{ message: string }>("/api/v1/namespaces/default/events");
      return events.some(({ message }) => message.includes("still attached to the node n1")) || undefined;
    });
    assert.equal(made.size, 1);
    await plane.api.remove(`${attachments}/a`);
    await plane.until("it is deleted", () => made.size === 0 || undefined);
    await whole();
  });

  await t.test("a clone whose source somebody else writes at the same moment", async () => {
    await claim("source");
    await space.bound("source");
    let touched = 0;
    proxy.before = async ({ method, path }) => {
      if (method === "PATCH" && path === claimPath("source") && ++touched < 4) {
        await plane.api.merge(claimPath("source"), { metadata: { annotations: { touched: String(touched) } } });
      }
      return undefined;
    };
    await space.claim("clone", { class: "c", fromClaim: "source", selectedNode: "n1" });
    await space.bound("clone");
    assert.ok(touched >= 2);
    quiet();
    // The source waits for its clones only while they are being made.
    await space.removeClaim("source");
    await space.removeClaim("clone");
    await whole();
  });

  await t.test(
    "a source that is deleted while it is cloned stays until the clone is there, and no longer",
    async () => {
      await claim("parent");
      await space.bound("parent");
      const until = Date.now() + 3_300;
      driver.answers = {
        ...usual,
        createVolume(request, call) {
          if (Date.now() < until) throw new Problem("POOL_UNAVAILABLE", "a moment");
          return createVolume(request, call);
        },
      };
      await space.claim("child", { class: "c", fromClaim: "parent", selectedNode: "n1" });
      const protection = "provisioner.storage.kubernetes.io/cloning-protection";
      await plane.until("it is protected", async () =>
        (await space.getClaim("parent")).metadata.finalizers?.includes(protection) ? true : undefined,
      );
      await plane.api.remove(claimPath("parent"));
      await space.bound("child");
      const bound = Date.now();
      await plane.until("the source is gone", async () =>
        (await plane.api.find(claimPath("parent"))) ? undefined : true,
      );
      assert.ok(Date.now() - bound < 1_500, "it went with the clone's binding, not at a later look");
      quiet();
      await space.removeClaim("child");
      await whole();
    },
  );

  await t.test("volumes that nobody asked for are reported, and left", async () => {
    made.set("by-hand", "made-by-hand");
    await plane.until("it is reported", () => helper.log().includes('"ids":["made-by-hand"]') || undefined);
    assert.equal(made.size, 1);
    made.clear();
  });

  await t.test(
    "two at once, the API server gone meanwhile, one killed: all claims are bound, and nothing is made twice",
    async () => {
      const second = startHelper(plane, "provisioner", {
        ...common,
        name: "second",
        options: { ...options, intentsFolder: `${scratch.path}/others` },
      });
      const names = Array.from({ length: 20 }, (_, index) => `many-${index}`);
      driver.answers = {
        ...usual,
        async createVolume(request, call) {
          await sleep(50);
          if (Math.random() < 0.2) throw new Problem("POOL_UNAVAILABLE", "a moment");
          return createVolume(request, call);
        },
      };
      await Promise.all(names.map(claim));
      await plane.apiServer.kill();
      await sleep(200);
      await plane.startApiServer();
      await helper.kill();
      helper.start();
      for (const name of names) await space.bound(name, 60_000);
      await whole();
      assert.equal(made.size, names.length);
      quiet();
      await Promise.all(names.map((name) => space.removeClaim(name, 60_000)));
      await whole();
      assert.equal(made.size, 0);
      assert.equal(await second.stop(), 0);
    },
  );

  assert.equal(await helper.stop(), 0, helper.log().slice(-3000));
});

const noBigint = (_: string, value: unknown) => (typeof value === "bigint" ? `${value}` : value);
